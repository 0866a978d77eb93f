import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { RejectedError, UnavailableError, Verifier } from '../src/verifier.mjs';
import { AUDIENCE, ISSUER, LIST } from '../vectors/cases.mjs';
import { Issuer, inList } from './issuer.mjs';

const hour = 3600;
const rejected = (reason) => (err) => err instanceof RejectedError && err.reason === reason;
const unavailable = (err) => err instanceof UnavailableError;
const keys = '/jwks.json';

const publishedKeys = (issuer) => JSON.parse(issuer.document(`${ISSUER}/.well-known/jwks.json`)).keys;

/** Verifies until what is fetched in the background has come, and the context is rejected. */
async function rejectedSoon(verifier, token, reason) {
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline) {
    const err = await verifier.verify(token).then(() => undefined, (why) => why);
    if (err) return assert.equal(err.reason, reason);
    await new Promise(setImmediate);
  }
  assert.fail(`not ${reason} in time`);
}

test('a context is read whole', async () => {
  const issuer = new Issuer();
  const token = await issuer.context({
    aud: [AUDIENCE, 'x'], idp: 'corp', auth_time: 1, acr: 'gold', amr: ['pwd'], nbf: issuer.seconds, tier: 'gold', deep: { a: [1] },
    chat: { ver: 1, app: 'support', origin: 'https://www.example.com', conversation: 'k-1' },
    act: { iss: 'https://agents.example.com', sub: 'agent-7', act: { client_id: 'support-backend' } }, ...inList(6),
  });
  const now = issuer.seconds;
  assert.deepEqual(JSON.parse(JSON.stringify(await issuer.verifier().verify(token))), {
    issuer: ISSUER, customer: 'c-1', audience: [AUDIENCE, 'x'], clientId: 'support-web', issuedAt: now, expires: now + 600, notBefore: now,
    id: 'j-1', sid: 's-1', idp: 'corp', authTime: 1, acr: 'gold', amr: ['pwd'], scope: ['chat:read', 'chat:write'],
    chat: { version: 1, app: 'support', origin: 'https://www.example.com', conversation: 'k-1' },
    actor: { issuer: 'https://agents.example.com', subject: 'agent-7', actor: { clientId: 'support-backend' } },
    status: { index: 6, uri: LIST }, statusAge: 0, claims: { tier: 'gold', deep: { a: [1] } },
  });
});

test('everybody who waits shares one fetch', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier();
  const token = await issuer.context(inList(6));
  await Promise.all(Array.from({ length: 50 }, () => verifier.verify(token)));
  assert.deepEqual([issuer.times(keys), issuer.times('/status/list-1')], [1, 1]);
});

test('keys are refreshed in the background, and a withdrawn one is refused soon', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier();
  await verifier.verify(await issuer.context());
  issuer.seconds += 59;
  await verifier.verify(await issuer.context());
  assert.equal(issuer.times(keys), 1);
  issuer.published = ['status'];
  issuer.seconds += 2;
  await verifier.verify(await issuer.context()); // with the keys held, while others are fetched
  await rejectedSoon(verifier, await issuer.context(), 'unknown_key');
});

test('the last keys serve for 24 hours while the issuer is down', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier();
  await verifier.verify(await issuer.context());
  issuer.down = true;
  issuer.seconds += 23 * hour;
  await verifier.verify(await issuer.context());
  await assert.rejects(verifier.verify(await issuer.context({}, 'eddsa')), unavailable); // it may be a new key
  const asked = issuer.asked.length;
  await verifier.verify(await issuer.context()); // nobody is asked again so soon
  assert.equal(issuer.asked.length, asked);
  issuer.seconds += hour;
  await assert.rejects(verifier.verify(await issuer.context()), unavailable);
  issuer.down = false;
  issuer.seconds += 1;
  await verifier.verify(await issuer.context());
});

test('a new key is found at once, and invented ones cause one fetch in 30 seconds', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier();
  await verifier.verify(await issuer.context());
  issuer.published.push('eddsa');
  issuer.seconds += 10;
  await verifier.verify(await issuer.context({}, 'eddsa'));
  assert.equal(issuer.times(keys), 2);
  const invented = await issuer.context({}, 'es384');
  for (let i = 0; i < 20; i++) await assert.rejects(verifier.verify(invented), rejected('unknown_key'));
  assert.equal(issuer.times(keys), 2);
  issuer.seconds += 30;
  await assert.rejects(verifier.verify(invented), rejected('unknown_key'));
  assert.equal(issuer.times(keys), 3);
});

test('a session that ended is refused once its list is as old as ttl', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier();
  const token = await issuer.context(inList(6));
  await verifier.verify(token);
  issuer.ended = [6];
  issuer.seconds += 30;
  assert.equal((await verifier.verify(token)).statusAge, 30);
  issuer.seconds += 30;
  await assert.rejects(verifier.verify(token), rejected('revoked'));
});

test('an older list brings nobody back', async () => {
  const issuer = new Issuer();
  const before = await issuer.list(LIST);
  issuer.seconds += 1;
  issuer.ended = [6];
  const verifier = issuer.verifier();
  for (let asked = 1; asked <= 3; asked++) {
    await assert.rejects(verifier.verify(await issuer.context(inList(6))), rejected('revoked'));
    assert.equal(issuer.times('/status/list-1'), asked);
    issuer.answers[LIST] = before; // from a replica that lags behind
    issuer.seconds += 120;
  }
  delete issuer.answers[LIST];
  issuer.ended = [];
  await verifier.verify(await issuer.context(inList(6)));
});

test('a list in use is fetched before it is as old as ttl', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier();
  const token = await issuer.context(inList(6));
  await verifier.verify(token);
  issuer.ended = [6];
  issuer.seconds += 55;
  await verifier.verify(token);
  await rejectedSoon(verifier, token, 'revoked');
});

test('while the list cannot be had the last one serves up to its exp, then an option decides', async () => {
  const issuer = new Issuer();
  const [strict, lax] = [issuer.verifier(), issuer.verifier({ withoutStatus: 'accept' })];
  for (const verifier of [strict, lax]) await verifier.verify(await issuer.context(inList(6)));
  issuer.answers[LIST] = '<html>';
  issuer.seconds += 24 * hour - 1;
  const token = await issuer.context(inList(6));
  assert.equal((await strict.verify(token)).statusAge, 24 * hour - 1);
  assert.equal((await lax.verify(token)).statusAge, 24 * hour - 1);
  issuer.seconds += 1;
  await assert.rejects(strict.verify(token), unavailable);
  assert.equal((await lax.verify(token)).statusAge, undefined);
});

test('exp of a list ends it, whatever its ttl says', async () => {
  const issuer = new Issuer();
  Object.assign(issuer, { ttl: 1e9, listLife: 100 });
  const verifier = issuer.verifier();
  const token = await issuer.context(inList(6));
  await verifier.verify(token);
  issuer.answers[LIST] = '<html>';
  issuer.seconds += 100;
  await assert.rejects(verifier.verify(token), unavailable);
});

test('a list that has expired does not take the place of one that has not', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier();
  await verifier.verify(await issuer.context(inList(6)));
  issuer.listLife = -1;
  issuer.seconds += 60;
  await verifier.verify(await issuer.context(inList(6)));
});

test('no redirect is followed', async (t) => {
  const server = createServer((req, res) => {
    const document = JSON.stringify({ issuer, jwks_uri: `${issuer}/keys`, keys: publishedKeys(new Issuer()) });
    res.setHeader('Connection', 'close');
    if (req.url === '/elsewhere') res.end(document);
    else res.writeHead(302, { Location: '/elsewhere' }).end();
  });
  t.after(() => server.close());
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const verifier = new Verifier({ issuer, audience: AUDIENCE });
  await assert.rejects(verifier.verify(await new Issuer().context({ iss: issuer })), unavailable);
});

test('the name of a list is no path', async () => {
  const issuer = new Issuer();
  for (const name of ['.', '..']) {
    await assert.rejects(issuer.verifier().verify(await issuer.context(inList(6, `${ISSUER}/status/${name}`))), rejected('claim_invalid'));
  }
});

test('a list that is too old for the service is as good as none', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier({ maxStatusAge: 600 });
  const token = await issuer.context({ exp: issuer.seconds + hour, ...inList(6) });
  await verifier.verify(token);
  issuer.answers[LIST] = '<html>';
  issuer.seconds += 600;
  await verifier.verify(token);
  issuer.seconds += 1;
  await assert.rejects(verifier.verify(token), unavailable);
});

test('a list must not grow too old between two fetches', async () => {
  const issuer = new Issuer();
  issuer.ttl = 3600;
  const verifier = issuer.verifier({ maxStatusAge: 60 });
  const token = await issuer.context(inList(6));
  await verifier.verify(token);
  issuer.seconds += 61;
  await verifier.verify(token);
  assert.equal(issuer.times('/status/list-1'), 2);
});

test('nobody waits longer than two seconds for a list when there is one', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier();
  await verifier.verify(await issuer.context(inList(6)));
  let answer;
  issuer.answers[LIST] = new Promise((done) => (answer = done));
  issuer.seconds += 60;
  await verifier.verify(await issuer.context(inList(6)));
  answer('<html>');
});

test('only a context with a good signature causes a list to be fetched, and 64 lists are kept', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier();
  const uri = (n) => `${ISSUER}/status/${n}`;
  await assert.rejects(verifier.verify(await issuer.context(inList(6, uri(0)), 'stranger')), rejected('signature'));
  assert.equal(issuer.times('/status/0'), 0);
  for (let n = 0; n <= 64; n++) await verifier.verify(await issuer.context(inList(6, uri(n))));
  await verifier.verify(await issuer.context(inList(6, uri(64))));
  await verifier.verify(await issuer.context(inList(6, uri(0))));
  assert.deepEqual([issuer.times('/status/64'), issuer.times('/status/0')], [1, 2]);
});

test('a document that is too long, or another issuer\'s, is not believed', async () => {
  const metadata = `${ISSUER}/.well-known/oauth-authorization-server`;
  const space = (n) => ' '.repeat(n);
  const good = new Issuer();
  for (const [url, body] of [
    [metadata, good.document(metadata) + space(64 << 10)],
    [metadata, JSON.stringify({ issuer: 'https://evil.example', jwks_uri: ISSUER })],
    [metadata, JSON.stringify({ issuer: ISSUER, jwks_uri: 'https://evil.example/keys' })],
    [`${ISSUER}/.well-known/jwks.json`, good.document(`${ISSUER}/.well-known/jwks.json`) + space(512 << 10)],
    [`${ISSUER}/.well-known/jwks.json`, JSON.stringify({ keys: [...publishedKeys(good), ...Array(99).fill({ kty: 'none' })] })],
    [LIST, (await good.list(LIST)) + space(1 << 20)],
  ]) {
    const issuer = new Issuer();
    issuer.answers[url] = body;
    await assert.rejects(issuer.verifier().verify(await issuer.context(inList(6))), unavailable);
  }
});

test('a fault of our own is neither a rejection nor an outage', async () => {
  await assert.rejects(new Issuer().verifier().verify(undefined), rejected('malformed'));
  const issuer = new Issuer();
  const verifier = issuer.verifier();
  await verifier.verify(await issuer.context());
  verifier.now = () => { throw new RangeError('broken clock'); };
  await assert.rejects(verifier.verify(await issuer.context()), RangeError);
});

test('options are checked when a verifier is made', () => {
  const make = (options) => () => new Verifier({ issuer: ISSUER, audience: AUDIENCE, ...options });
  for (const options of [
    {}, { issuer: 'http://localhost:8080' }, { issuer: 'http://127.0.0.1:1' }, { issuer: 'http://[::1]:1' }, { issuer: ISSUER + '/tenant' },
    { issuer: 'http://chatpass:8080', dangerouslyAllowHTTP: true }, { leeway: 300 }, { leeway: 0 },
  ]) make(options)();
  for (const options of [
    { issuer: '' }, { issuer: 'chat-auth.example.com' }, { issuer: 'http://chatpass:8080' }, { issuer: 'http://localhost.example.com' },
    { issuer: ISSUER + '?a' }, { issuer: ISSUER + '#' }, { issuer: 'https://user@chat-auth.example.com' }, { issuer: 'ftp://localhost' },
    { audience: '' }, { leeway: 301 }, { leeway: -1 }, { leeway: NaN }, { requiredScopes: ['a b'] }, { requiredScopes: [''] }, { demand: { acr: [''] } },
    { maxStatusAge: 0 }, { withoutStatus: 'perhaps' },
  ]) assert.throws(make(options), TypeError, JSON.stringify(options));
});
