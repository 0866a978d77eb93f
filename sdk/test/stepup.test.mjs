// Step-up (RFC 9470), and sites that sign people in themselves (mode D).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine, Service, anonymous, flush, page, ready, refusal } from './service.mjs';

const query = win => Object.fromEntries(new URL(win.url).searchParams);
const contexts = p => p.requests('/v1/context');
const claims = p => p.requests('/v1/session');
const done = (p, extra = {}) => {
  const win = p.tab.opened.at(-1);
  p.tab.message({ v: 1, type: 'chatpass.login', txn: query(win).txn, ...extra }, win);
};

/** Settles with what became of a promise so far. */
function watched(promise) {
  const seen = { state: 'waiting' };
  promise.then(() => { seen.state = 'done'; }, e => { seen.state = e.message; });
  return seen;
}

const unmet = body => body.acr_values || body.max_age != null
  ? refusal(401, 'CP-216', 'login', { error: 'insufficient_user_authentication', login: { acr_values: body.acr_values, max_age: body.max_age } })
  : undefined;

/** A page that wants more than the session has. */
async function needing(ask = { acrValues: 'mfa', maxAge: 300 }) {
  const p = await ready();
  p.service.special['/v1/context'] = unmet;
  const seen = watched(p.chat.stepUp(ask));
  await p.machine.advance(1);
  return { ...p, seen };
}

test('step-up: what the session has already is enough, and nobody is asked', async () => {
  const p = await ready();
  const seen = watched(p.chat.stepUp({ acrValues: 'mfa', maxAge: 300 }));
  await p.machine.advance(1);
  assert.equal(seen.state, 'done');
  assert.equal(p.chat.state, 'READY');
  const { acr_values, max_age } = contexts(p).at(-1);
  assert.deepEqual([acr_values, max_age], ['mfa', 300]);
  await p.machine.advance(400);
  assert.equal(contexts(p).at(-1).acr_values, undefined, 'asked for once');
});

test('row 13: more is needed: the context in hand goes on, and is renewed as ever', async () => {
  const p = await needing();
  assert.equal(p.chat.state, 'STEP_UP_NEEDED');
  assert.equal(p.seen.state, 'waiting');
  assert.ok(p.ask().sync.Auth);
  assert.equal(p.tab.opened.length, 0, 'no prompt by itself');
  const before = contexts(p).length;
  await p.machine.advance(400);
  assert.equal(contexts(p).length, before + 1);
  assert.equal(p.chat.state, 'STEP_UP_NEEDED');
  assert.deepEqual(p.of('logout'), []);
});

test('row 31: a click opens the sign-in that raises the session', async () => {
  const p = await needing();
  assert.equal(p.chat.login(), 'STEP_UP_PENDING');
  const { purpose, acr_values, max_age, mode } = query(p.tab.opened[0]);
  assert.deepEqual({ purpose, acr_values, max_age, mode }, { purpose: 'step_up', acr_values: 'mfa', max_age: '300', mode: 'popup' });
  assert.ok(p.ask().sync.Auth, 'the base level is at hand meanwhile');
  done(p);
  await p.machine.advance(1);
  assert.equal(p.seen.state, 'done');
  assert.equal(p.chat.state, 'READY');
  assert.equal(claims(p)[0].expected_customer, 'c-1');
  p.chat.login();
  assert.equal(query(p.tab.opened.at(-1)).purpose, undefined, 'the next sign-in is a plain one');
});

test('row 31: a plain sign-in proves nothing, and its window is not taken for the one that does', async () => {
  const p = await ready();
  p.chat.login({ prompt: 'consent' });
  const [plain] = p.tab.opened;
  p.service.special['/v1/context'] = unmet;
  const seen = watched(p.chat.stepUp({ maxAge: 1 }));
  await p.machine.advance(9);
  assert.equal(seen.state, 'waiting');
  p.tab.message({ v: 1, type: 'chatpass.login', txn: query(plain).txn }, plain);
  await p.machine.advance(1);
  assert.equal(claims(p).length, 1);
  assert.equal(seen.state, 'waiting');
  assert.equal(p.chat.state, 'STEP_UP_NEEDED');
  p.chat.login();
  assert.deepEqual(p.tab.opened.slice(1).map(win => query(win).purpose), ['step_up']);
  done(p);
  await p.machine.advance(1);
  assert.equal(seen.state, 'done');
});

test('row 31: a blocked popup leaves the need as it is', async () => {
  const p = await needing();
  p.tab.popups = false;
  assert.equal(p.chat.login(), 'STEP_UP_NEEDED');
  p.tab.popups = true;
  assert.equal(p.chat.login(), 'STEP_UP_PENDING');
});

test('row 31b: cancelled, unmet or given up: the promise rejects, and the chat goes on', async () => {
  for (const error of ['access_denied', 'step_up_unmet', 'server_error']) {
    const p = await needing();
    p.chat.login();
    done(p, { error });
    await flush();
    assert.equal(p.seen.state, error);
    assert.equal(p.chat.state, 'READY');
    assert.ok(p.ask().sync.Auth);
  }
  const closed = await needing();
  closed.chat.login();
  closed.tab.opened[0].closed = true;
  await closed.machine.advance(8);
  assert.equal(closed.seen.state, 'window_closed');
  assert.equal(closed.chat.state, 'READY');
  closed.service.status = { status: 'complete' };
  await closed.machine.advance(30);
  assert.equal(claims(closed).length, 1, 'a late success raises the session all the same');
});

test('row 31b: another person signed in: the session of before goes on', async () => {
  const p = await needing();
  p.service.special['/v1/session'] = () => refusal(409, 'CP-407', 'no', { error: 'user_mismatch' });
  p.chat.login();
  done(p);
  await p.machine.advance(1);
  assert.equal(p.seen.state, 'user_mismatch');
  assert.equal(p.chat.state, 'READY');
  assert.deepEqual(p.of('usermismatch'), []);
});

test('step-up without wishes leaves the level to the service', async () => {
  const p = await needing({});
  assert.equal(p.chat.state, 'STEP_UP_NEEDED');
  p.chat.login();
  const { purpose, acr_values, max_age } = query(p.tab.opened[0]);
  assert.deepEqual({ purpose, acr_values, max_age }, { purpose: 'step_up', acr_values: undefined, max_age: undefined });
});

test('step-up ends with the session, and the newest counts', async () => {
  const out = await needing();
  out.chat.logout();
  await flush();
  assert.equal(out.seen.state, 'ended');
  const p = await needing();
  const second = watched(p.chat.stepUp({ acrValues: 'hwk' }));
  await p.machine.advance(1);
  assert.equal(p.seen.state, 'replaced');
  p.chat.login();
  assert.equal(query(p.tab.opened[0]).acr_values, 'hwk');
  done(p);
  await p.machine.advance(1);
  assert.equal(second.state, 'done');
  const nobody = await anonymous();
  const none = watched(nobody.chat.stepUp({ acrValues: 'mfa' }));
  await nobody.machine.advance(1);
  assert.equal(none.state, 'ended');
});

test('step-up survives an outage', async () => {
  const p = await ready();
  p.service.special['/v1/context'] = [refusal(503, 'CP-901', 'later')];
  const seen = watched(p.chat.stepUp({ acrValues: 'mfa' }));
  await p.machine.advance(1);
  assert.equal(seen.state, 'waiting');
  await p.machine.advance(30);
  assert.equal(seen.state, 'done');
  assert.equal(contexts(p).at(-1).acr_values, 'mfa');
});

test('tabs share contexts of one level only', async () => {
  const p = await ready();
  const other = page(p.service, {});
  await p.machine.advance(1);
  const before = other.ask().sync.Auth.Token;
  const grant = p.service.grant.bind(p.service);
  p.service.grant = status => {
    const answer = grant(status);
    answer.body.session.acr = 'mfa';
    return answer;
  };
  p.chat.login();
  done(p);
  await p.machine.advance(1);
  assert.notEqual(p.ask().sync.Auth.Token, before);
  assert.equal(other.ask().sync.Auth.Token, before);
});

test('who is not admitted may choose another account', async () => {
  const p = await anonymous();
  p.service.special['/v1/session'] = [refusal(403, 'CP-302', 'no', { error: 'access_denied', login: { prompt: 'select_account' } })];
  p.service.customer = 'c-1';
  p.chat.login();
  done(p);
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'FATAL');
  assert.deepEqual(p.of('error').map(e => e.code), ['CP-302']);
  assert.equal(p.chat.login(), 'LOGIN_PENDING');
  assert.equal(query(p.tab.opened[1]).prompt, 'select_account');
  done(p);
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'READY');
});

/** A page of a site that signs people in itself; `tokens` are what it gives, in turn. */
async function site(tokens, options = {}) {
  const machine = new Machine();
  const service = new Service(machine);
  Object.assign(service, options.serve);
  service.special['/v1/session'] = body => {
    if (body.subject_token === 'stale') return refusal(400, 'CP-205', 'login', { error: 'invalid_request', reason: 'subject_token_expired' });
    service.customer = 'c-1';
    return undefined;
  };
  const asked = [];
  let prompts = 0;
  const p = page(service, {
    attach: false,
    before: options.before,
  });
  p.chat.setSiteTokenProvider(({ fresh }) => {
    asked.push(fresh);
    const token = tokens.length ? tokens.shift() : null;
    if (token instanceof Error) throw token;
    return token;
  }, { onLoginNeeded: () => prompts++ });
  p.chat.attach(p.asapp, {});
  await machine.advance(1);
  return { ...p, machine, service, asked, get prompts() { return prompts; } };
}

test('mode D: the site\'s token becomes a session, and no window of ours opens', async () => {
  const p = await site([Promise.resolve('good')]);
  assert.equal(p.chat.state, 'READY');
  assert.deepEqual(claims(p).map(b => b.subject_token), ['good']);
  assert.deepEqual(p.asked, [false]);
  assert.deepEqual(p.calls.map(c => c[0]), ['setCustomer']);
  await p.machine.advance(3600);
  assert.equal(claims(p).length, 1, 'the session is renewed by its cookie');
  assert.equal(p.tab.opened.length, 0);
  assert.equal(p.prompts, 0);
});

test('mode D: a session that is there already needs no token', async () => {
  const p = await site(['good'], { serve: { customer: 'c-1' } });
  assert.equal(p.chat.state, 'READY');
  assert.deepEqual(p.asked, []);
});

test('mode D: a token that is refused is asked for once more, fresh', async () => {
  const p = await site(['stale', 'good']);
  assert.deepEqual(p.asked, [false, true]);
  assert.equal(p.chat.state, 'READY');
});

test('mode D: nobody is signed in at the site: the chat is anonymous, and nobody is prompted', async () => {
  const p = await site([]);
  assert.equal(p.chat.state, 'ANON');
  assert.equal(p.prompts, 0);
  assert.deepEqual(p.tab.errors, []);
  p.chat.userLoginHandler();
  await p.machine.advance(1);
  assert.equal(p.prompts, 1, 'the site signs people in');
  assert.equal(p.chat.state, 'LOGIN_NEEDED');
  assert.equal(p.tab.opened.length, 0);
});

test('mode D: signed in at the site meanwhile: login() asks it again', async () => {
  const tokens = [];
  const p = await site(tokens);
  tokens.push('good');
  p.chat.login();
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'READY');
  assert.equal(p.prompts, 0);
});

test('mode D: the session ends: the site is asked for a fresh token once, then told', async () => {
  const tokens = ['good'];
  const p = await site(tokens);
  tokens.push('good');
  p.service.customer = undefined;
  await p.machine.advance(400);
  assert.deepEqual(p.asked, [false, true]);
  assert.equal(p.chat.state, 'READY');
  p.service.customer = undefined;
  await p.machine.advance(400);
  assert.deepEqual(p.asked, [false, true, true]);
  assert.equal(p.chat.state, 'LOGIN_NEEDED');
  assert.equal(p.prompts, 1);
  await p.machine.advance(3600);
  assert.equal(p.asked.length, 3, 'and not again by itself');
});

test('mode D: a site that fails is no sign-out: it is asked again later', async () => {
  const p = await site([new Error('offline'), 'good']);
  await p.machine.advance(120);
  assert.equal(p.chat.state, 'READY');
  assert.equal(p.prompts, 0);
});
