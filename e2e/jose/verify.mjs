// Verifies the tokens on standard input, one a line, as any Node.js service would that keeps its key set
// from one to the next: ISSUER JWKS-URL AUDIENCE [HASTE]. Prints {"claims"} or {"error"}, a line each. HASTE
// is how many times as fast as usual the key set ages.
import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [issuer, url, audience, haste = 1] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(url), { cacheMaxAge: 600_000 / haste, cooldownDuration: 30_000 / haste }); // the defaults, at HASTE 1
const options = { issuer, audience, typ: 'at+jwt', requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'] };
for await (const token of createInterface({ input: process.stdin })) {
  try {
    const { payload } = await jwtVerify(token, keys, options);
    console.log(JSON.stringify({ claims: payload }));
  } catch (err) {
    console.log(JSON.stringify({ error: `${err.code}: ${err.message}` }));
  }
}
