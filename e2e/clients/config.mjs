// Configures npm openid-client for the client {issuer, clientId} as its users would: with a secret, or
// with a private key (JWK).
import { importJWK } from 'jose';
import * as openid from 'openid-client';

export async function configure({ issuer, clientId, secret, key }) {
  const proof = key ? openid.PrivateKeyJwt({ key: await importJWK(key, 'ES256'), kid: key.kid }) : openid.ClientSecretBasic(secret);
  const options = { execute: [openid.allowInsecureRequests] }; // the issuer is on loopback: plain http
  return openid.discovery(new URL(issuer), clientId, undefined, proof, options);
}
