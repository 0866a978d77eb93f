import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { Issuer } from './issuer.mjs';

/** Serves who is asking behind the middleware, and asks with those headers. */
async function ask(issuer, { headers = [], path = '/', scopes = [], options, demand = {} }) {
  const guard = issuer.verifier(options).require(demand).middleware(...scopes);
  const server = createServer((req, res) => guard(req, res, (err) => res.end(err ? `failed: ${err.name}` : req.chat.customer)));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  try {
    const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers });
    return { status: response.status, challenge: response.headers.get('www-authenticate'), retry: response.headers.get('retry-after'), body: await response.text() };
  } finally {
    await new Promise((done) => server.close(done));
  }
}

const bearer = (token) => [['Authorization', `Bearer ${token}`]];

test('a good context passes, and its customer is known', async () => {
  const issuer = new Issuer();
  const answer = await ask(issuer, { headers: bearer(await issuer.context()), scopes: ['chat:read'] });
  assert.deepEqual(answer, { status: 200, challenge: null, retry: null, body: 'c-1' });
  assert.equal((await ask(issuer, { headers: [['Authorization', `bearer  ${await issuer.context()}`]] })).status, 200);
});

test('the others are answered as RFC 6750 says', async () => {
  const issuer = new Issuer();
  const good = await issuer.context();
  const expired = await issuer.context({ exp: issuer.seconds - 100 });
  const down = new Issuer();
  down.down = true;
  const rows = [
    [issuer, {}, 401, 'Bearer'],
    [issuer, { headers: [['Authorization', 'Basic YTpi']] }, 401, 'Bearer'],
    [issuer, { path: `/?access_token=${good}` }, 401, 'Bearer'],
    [issuer, { headers: bearer(good), path: `/?access_token=${good}` }, 400, 'Bearer error="invalid_request", error_description="the token was sent more than once"'],
    [issuer, { headers: bearer(expired) }, 401, 'Bearer error="invalid_token", error_description="the token is not accepted: expired"'],
    [issuer, { headers: bearer('nonsense') }, 401, 'Bearer error="invalid_token", error_description="the token is not accepted: malformed"'],
    [issuer, { headers: bearer(good), scopes: ['admin'], options: { requiredScopes: ['chat:read'] } }, 403,
      'Bearer error="insufficient_scope", error_description="the token lacks a scope", scope="chat:read admin"'],
    [down, { headers: bearer(good) }, 503, null],
  ];
  for (const [from, request, status, challenge] of rows) {
    const answer = await ask(from, request);
    assert.deepEqual([answer.status, answer.challenge], [status, challenge]);
    assert.equal(answer.retry, status === 503 ? '5' : null);
    assert.ok(!answer.body.includes(good));
  }
});

test('a better sign-in is asked for as RFC 9470 says', async () => {
  const issuer = new Issuer();
  const token = await issuer.context({ auth_time: issuer.seconds - 3600, acr: 'gold' });
  const stepUp = (rest) => `Bearer error="insufficient_user_authentication", error_description="the customer must sign in again", ${rest}`;
  for (const [demand, status, challenge] of [
    [{ acr: ['gold'], maxAuthAge: 7200 }, 200, null],
    [{ acr: ['platinum', 'phr'] }, 401, stepUp('acr_values="platinum phr"')],
    [{ maxAuthAge: 300 }, 401, stepUp('max_age="300"')],
    [{ maxAuthAge: 0.5 }, 401, stepUp('max_age="0"')],
    [{ acr: ['phr'], maxAuthAge: 60 }, 401, stepUp('acr_values="phr", max_age="60"')],
    [{ conversation: true }, 401, 'Bearer error="invalid_token", error_description="the token is not accepted: unbound"'],
  ]) {
    const answer = await ask(issuer, { headers: bearer(token), scopes: ['chat:read'], demand });
    assert.deepEqual([answer.status, answer.challenge], [status, challenge]);
  }
});

test('a fault of our own goes to the application', async () => {
  const answer = await ask(new Issuer(), { headers: bearer(await new Issuer().context()), options: { now: () => { throw new RangeError(); } } });
  assert.equal(answer.body, 'failed: RangeError');
});
