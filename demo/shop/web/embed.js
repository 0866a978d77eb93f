// The vendor's embed snippet, as its quick start documents it: a stub that queues calls until the script
// has come. Here it loads the stand-in of the demo instead of the vendor's SDK.
(function (w, d, host, name) {
  w[name] = function () {
    w[name]._.push(arguments);
  };
  w[name]._ = [];
  w[name].Host = host;
  var script = d.createElement('script');
  script.async = true;
  script.src = host + '/chat-sdk-standin.js';
  d.body.appendChild(script);
})(window, document, location.origin, 'ASAPP');
