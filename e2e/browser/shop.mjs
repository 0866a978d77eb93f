// A company's shop: a page with a chat, and an API that believes contexts of an issuer, which it knows
// by URL alone.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

export const audience = 'https://api.example.com';

const alone = { 'Cross-Origin-Opener-Policy': 'same-origin' };

// open serves the page at every path, with the SDK of issuer; at /isolated no window knows its opener, at /cross-origin-isolated the page
// knows it, at /prompted people are shown what the chat needs of them, under a policy that allows no style of the page's own.
// A sign-in ends at back, a path of it: at the page that docs/modes.md shows, unless that is the shop's own. What is below the
// path of issuer is handed on to the address behind, if there is one. What the API believed is in presented.
export async function open(t, address, issuer, { behind, back = '/' } = {}) {
  const page = readFileSync(new URL('shop.html', import.meta.url), 'utf8').replaceAll('{issuer}', issuer).replaceAll('{back}', back);
  const ending = readFileSync(new URL('../../docs/modes.md', import.meta.url), 'utf8').match(/```html\n(.*?)```/s)[1].replaceAll('https://chat-auth.example.com', issuer);
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
  const presented = [];
  const server = http.createServer(async (request, response) => {
    if (behind && request.url.startsWith(new URL(issuer).pathname)) {
      handOn(request, response, behind);
      return;
    }
    if (request.url !== '/orders') {
      const policies = {
        '/isolated': alone,
        '/cross-origin-isolated': { ...alone, 'Cross-Origin-Embedder-Policy': 'require-corp' },
        '/prompted': { 'Content-Security-Policy': `default-src 'none'; img-src data:; script-src 'unsafe-inline' ${issuer}; connect-src 'self' ${issuer}` },
      };
      response.writeHead(200, { 'Content-Type': 'text/html', ...policies[request.url.split('?')[0]] }).end(request.url === '/signed-in' ? ending : page);
      return;
    }
    try {
      const token = request.headers.authorization?.replace('Bearer ', '');
      const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' });
      presented.push(payload);
      response.end(`${payload.name}, you are a ${payload.tier} customer.`);
    } catch (err) {
      response.end(`refused: ${err.message}`); // 200, so that the browser's console stays clean
    }
  });
  const [host, port] = address.split(':');
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { presented };
}

// handOn is what a site's own proxy does.
function handOn(request, response, address) {
  const [hostname, port] = address.split(':');
  const headers = { ...request.headers, 'x-forwarded-for': request.socket.remoteAddress, 'x-forwarded-proto': 'http' };
  const onward = http.request({ hostname, port, method: request.method, path: request.url, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  request.pipe(onward);
}
