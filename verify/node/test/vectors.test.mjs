import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { RejectedError, UnavailableError, Verifier } from '../src/verifier.mjs';
import { cases } from '../vectors/cases.mjs';

const document = JSON.parse(readFileSync(new URL('../../testdata/vectors.json', import.meta.url)));

/** The issuer of a vector's world: what is not there cannot be had. */
function publisher({ issuer, key_set: set, status_lists: lists }) {
  const published = {
    [`${issuer}/.well-known/oauth-authorization-server`]: JSON.stringify({ issuer, jwks_uri: `${issuer}/.well-known/jwks.json` }),
    [`${issuer}/.well-known/jwks.json`]: set && JSON.stringify(document.key_sets[set]),
    ...(lists && document.status_lists[lists]),
  };
  return async (url) => (published[url] ? new Response(published[url]) : new Response('', { status: 502 }));
}

async function judge(vector) {
  const { leeway, required_scopes, allow_typ, require_status, max_status_age, without_status } = vector.options;
  const verifier = new Verifier({
    issuer: vector.issuer, audience: vector.audience, leeway, requiredScopes: required_scopes, allowTyp: allow_typ,
    requireStatus: require_status, maxStatusAge: max_status_age, withoutStatus: without_status,
    now: () => vector.now * 1000, fetch: publisher(vector),
  });
  try {
    await verifier.verify(vector.token);
    return { verdict: 'accepted', reason: null };
  } catch (err) {
    if (err instanceof UnavailableError) return { verdict: 'unavailable', reason: null };
    if (err instanceof RejectedError) return { verdict: 'rejected', reason: err.reason };
    throw err;
  }
}

for (const vector of document.vectors) {
  test(vector.name, async () => {
    assert.deepEqual(await judge(vector), { verdict: vector.verdict, reason: vector.reason });
  });
}

test('the file is that of the table, and most of it is signed by libraries', () => {
  const plain = ({ name, why, verdict, reason }) => ({ name, why, verdict, reason: reason ?? null });
  assert.deepEqual(document.vectors.map(plain), cases.map(plain));
  assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length);
  const signedBy = (...names) => document.vectors.filter((v) => names.includes(v.signed_by)).length;
  assert.ok(cases.length >= 100 && signedBy('jose', 'PyJWT') * 2 > cases.length && signedBy('PyJWT', 'OpenSSL') * 2 > cases.length);
});
