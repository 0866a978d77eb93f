// Verifies the token on standard input as any Node.js service would: ISSUER JWKS-URL AUDIENCE.
// Prints {"claims"} or {"error"}.
import { text } from 'node:stream/consumers';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [issuer, keys, audience] = process.argv.slice(2);
try {
  const options = { issuer, audience, typ: 'at+jwt', requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'] };
  const { payload } = await jwtVerify(await text(process.stdin), createRemoteJWKSet(new URL(keys)), options);
  console.log(JSON.stringify({ claims: payload }));
} catch (err) {
  console.log(JSON.stringify({ error: `${err.code}: ${err.message}` }));
}
