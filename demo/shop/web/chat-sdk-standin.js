// STAND-IN of the ASAPP Chat SDK, made for this demo: not the vendor's software, and no part of chatpass's
// SDK. It keeps the names and the order of the vendor's public documents.
import('/standin/install.mjs').then(standin => standin.install(window, 'ASAPP'));
