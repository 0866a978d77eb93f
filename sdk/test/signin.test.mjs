// Signing in: popup and redirect, and everything that can go wrong on the way.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { HOST, Machine, Service, Tab, anonymous, flush, page, ready, refusal } from './service.mjs';

const query = win => Object.fromEntries(new URL(win.url ?? win).searchParams);
const claims = p => p.requests('/v1/session');
const done = (p, win = p.tab.opened.at(-1), extra = {}) =>
  p.tab.message({ v: 1, type: 'chatpass.login', txn: query(win).txn, ...extra }, win);

/** A page on which somebody clicked Sign In; the service knows c-1 once they are through. */
async function pending(options) {
  const p = await anonymous(options);
  p.chat.userLoginHandler({});
  return p;
}

test('row 18: the popup opens within the click, with a verifier of our own', async () => {
  const p = await anonymous();
  p.chat.userLoginHandler({ CompanySubdivision: 'x' });
  assert.equal(p.chat.state, 'LOGIN_PENDING');
  const [win] = p.tab.opened;
  assert.equal(win.features, 'width=480,height=640');
  assert.ok(win.url.startsWith(HOST + '/v1/login/start?'));
  const { txn, challenge, ...rest } = query(win);
  assert.deepEqual(rest, { client_id: 'web-1', mode: 'popup', page_origin: 'https://www.example.com' });
  assert.match(txn, /^[\w-]{54}$/);
  done(p, win);
  await p.machine.advance(1);
  const { verifier } = claims(p)[0];
  assert.match(verifier, /^[\w-]{43,128}$/);
  assert.equal(createHash('sha256').update(verifier).digest('base64url'), challenge);
});

test('row 18: no frame of the page can have the name of the window', async () => {
  const names = [];
  for (let n = 0; n < 2; n++) {
    const p = await pending();
    p.tab.opened[0].closed = true;
    p.chat.login();
    assert.equal(p.tab.opened[0].name, p.tab.opened[1].name, 'one window at a time');
    names.push(p.tab.opened[0].name);
  }
  assert.notEqual(names[0], 'chatpass');
  assert.match(names[0], /^[\w-]{54}$/);
});

test('row 18: the page\'s wishes go to the issuer by their names', async () => {
  const p = await anonymous();
  p.chat.login({ idp: 'corp', prompt: 'login', maxAge: 0, acrValues: 'a b', loginHint: 'ann', uiLocales: 'de', redirect: false });
  const { txn, challenge, client_id, mode, page_origin, ...rest } = query(p.tab.opened[0]);
  assert.deepEqual(rest, { idp: 'corp', prompt: 'login', max_age: '0', acr_values: 'a b', login_hint: 'ann', ui_locales: 'de' });
});

test('row 18: from sign-out, from an ended session and after a blocked popup as well', async () => {
  const out = await ready();
  out.chat.logout();
  const ended = await ready();
  ended.service.customer = undefined;
  await ended.machine.advance(361);
  const blocked = await pending({ before: tab => { tab.popups = false; } });
  blocked.tab.popups = true;
  for (const [p, state] of [[out, 'SIGNED_OUT'], [ended, 'LOGIN_NEEDED'], [blocked, 'POPUP_BLOCKED']]) {
    assert.equal(p.chat.state, state);
    assert.equal(p.chat.login(), 'LOGIN_PENDING');
  }
});

test('row 19: a blocked popup is told, and the next click tries again', async () => {
  for (const block of [tab => { tab.popups = false; }, tab => { tab.env.open = () => ({ closed: true }); }]) {
    const p = await pending({ before: block });
    assert.equal(p.chat.state, 'POPUP_BLOCKED');
    assert.deepEqual(p.ask().sync, {});
  }
});

test('row 21: the popup\'s word leads to the claim, the session, the widget and the other tabs', async () => {
  const p = await pending();
  p.service.customer = 'c-1';
  done(p);
  assert.equal(p.chat.state, 'CHECKING');
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'READY');
  const { txn, verifier, ...rest } = claims(p)[0];
  assert.deepEqual(rest, { client_id: 'web-1' });
  assert.equal(txn, query(p.tab.opened[0]).txn);
  assert.deepEqual(p.of('login').map(e => e.customerId), ['c-1']);
  assert.deepEqual(p.calls, [['setCustomer', { CustomerId: 'c-1', ContextProvider: p.chat.contextProvider, UserLoginHandler: p.chat.userLoginHandler }]]);
});

test('row 21: what waited for a context gets it', async () => {
  const p = await pending();
  const asked = p.ask();
  assert.deepEqual(asked.all, []);
  p.service.customer = 'c-1';
  done(p);
  await p.machine.advance(1);
  assert.ok(asked.all[0].Auth);
  const q = await pending();
  const late = q.ask();
  await q.machine.advance(8);
  assert.deepEqual(late.all, [{}]);
});

test('row 21: a code in the message (mode B) goes into the claim, with the page\'s wishes and the customer shown', async () => {
  const p = await ready({ cfg: { conversation: '42' } });
  p.chat.login();
  done(p, undefined, { code: 'abc' });
  const { code, conversation, expected_customer } = claims(p)[0];
  assert.deepEqual({ code, conversation, expected_customer }, { code: 'abc', conversation: '42', expected_customer: 'c-1' });
});

test('row 21: a message is believed only of our service, of that window, about that sign-in', async () => {
  const p = await pending();
  const [win] = p.tab.opened;
  const data = { v: 1, type: 'chatpass.login', txn: query(win).txn };
  p.tab.message(data, win, 'https://evil.example');
  p.tab.message(data, {});
  p.tab.message({ ...data, txn: 'other' }, win);
  p.tab.message({ ...data, v: 2 }, win);
  p.tab.message({ ...data, type: 'other' }, win);
  p.tab.message(null, win);
  p.tab.message('text', win);
  await flush();
  assert.equal(claims(p).length, 0);
  assert.equal(p.chat.state, 'LOGIN_PENDING');
  p.service.customer = 'c-1';
  done(p);
  done(p);
  await p.machine.advance(1);
  assert.equal(claims(p).length, 1, 'and once');
});

test('row 21: the same person after an ended session: the widget is told, for it waits', async () => {
  const p = await ready();
  p.service.customer = undefined;
  await p.machine.advance(361);
  assert.equal(p.chat.state, 'LOGIN_NEEDED');
  p.chat.userLoginHandler();
  p.service.customer = 'c-1';
  done(p);
  await p.machine.advance(1);
  assert.deepEqual(p.calls.map(c => [c[0], c[1].CustomerId]), [['setCustomer', 'c-1'], ['setCustomer', 'c-1']]);
});

test('row 22: cancelled: the chat stays anonymous, or the sign-in needed', async () => {
  const p = await pending();
  done(p, undefined, { error: 'access_denied' });
  await flush();
  assert.equal(p.chat.state, 'ANON');
  assert.deepEqual(p.of('login'), [{ name: 'login', customerId: null, error: 'access_denied' }]);
  const q = await ready();
  q.service.customer = undefined;
  await q.machine.advance(361);
  q.chat.login();
  done(q, undefined, { error: 'access_denied' });
  assert.equal(q.chat.state, 'LOGIN_NEEDED');
  const r = await ready();
  r.chat.login();
  assert.ok(r.ask().sync.Auth, 'the context goes on meanwhile');
  done(r, undefined, { error: 'access_denied' });
  assert.equal(r.chat.state, 'READY');
});

test('row 23: a closed window is asked for once after 1 s; pending means try again', async () => {
  const p = await pending();
  p.tab.opened[0].closed = true;
  await p.machine.advance(2);
  const { txn, verifier, ...rest } = p.requests('/v1/login/status')[0];
  assert.deepEqual(rest, { client_id: 'web-1', wait: 3 });
  assert.equal(txn, query(p.tab.opened[0]).txn);
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'LOGIN_NEEDED');
  assert.equal(p.of('state').at(-1).reason, 'window_closed');
});

test('row 23: a late success is claimed: the window only seemed closed (opener policy)', async () => {
  const p = await pending();
  p.tab.opened[0].closed = true;
  await p.machine.advance(300);
  assert.equal(p.chat.state, 'LOGIN_NEEDED');
  p.service.status = { status: 'complete' };
  p.service.customer = 'c-1';
  p.tab.window.fire('focus');
  await p.machine.advance(0.1);
  assert.equal(p.chat.state, 'READY');
  assert.ok(p.requests('/v1/login/status').length < 12, 'less and less often');
});

test('row 23: the popup\'s word and the service\'s answer make one claim', async () => {
  const p = await pending();
  p.service.customer = 'c-1';
  p.service.special['/v1/login/status'] = () => ({ body: { status: 'complete' }, delay: 2000 });
  p.tab.opened[0].closed = true;
  await p.machine.advance(2);
  done(p);
  await p.machine.advance(5);
  assert.equal(claims(p).length, 1);
  assert.equal(p.chat.state, 'READY');
});

test('row 23: the service is asked less and less often, and not at all from a hidden tab', async () => {
  const p = await pending();
  p.tab.opened[0].closed = true;
  await p.machine.advance(15 * 60 + 10);
  const asked = p.requests('/v1/login/status').length;
  assert.ok(asked > 14 && asked < 25, `${asked} requests in 15 min`);
  const q = await pending();
  q.tab.hide();
  q.tab.opened[0].closed = true;
  await q.machine.advance(600);
  assert.equal(q.requests('/v1/login/status').length, 0);
  q.tab.show();
  await q.machine.advance(1);
  assert.equal(q.requests('/v1/login/status').length, 1);
});

test('row 23: one question at a time, and an unreachable service answers nothing', async () => {
  const p = await pending();
  p.service.special['/v1/login/status'] = () => null;
  p.tab.opened[0].closed = true;
  await p.machine.advance(3);
  p.tab.window.fire('focus');
  p.tab.window.fire('focus');
  await flush();
  assert.equal(p.requests('/v1/login/status').length, 1);
  await p.machine.advance(8);
  assert.equal(p.chat.state, 'LOGIN_NEEDED');
  p.service.special = {};
  p.service.status = { status: 'complete' };
  p.service.customer = 'c-1';
  await p.machine.advance(5);
  assert.equal(p.chat.state, 'READY');
});

test('row 23: failed and expired end it', async () => {
  for (const [status, state, error] of [
    [{ status: 'failed', error: 'access_denied' }, 'ANON', 'access_denied'],
    [{ status: 'expired' }, 'LOGIN_NEEDED', 'txn_expired'],
  ]) {
    const p = await pending();
    p.service.status = status;
    p.tab.opened[0].closed = true;
    await p.machine.advance(2);
    assert.equal(p.chat.state, state);
    assert.deepEqual(p.of('login').map(e => e.error), [error]);
    await p.machine.advance(900);
    assert.equal(p.requests('/v1/login/status').length, 1);
  }
});

test('row 24: another click brings the popup to the front, or opens a new one if it is gone', async () => {
  const p = await pending();
  p.chat.login();
  assert.equal(p.tab.opened.length, 1);
  assert.equal(p.tab.opened[0].focused, 1);
  p.tab.opened[0].closed = true;
  await flush();
  p.chat.login();
  assert.equal(p.tab.opened.length, 2);
  assert.notEqual(query(p.tab.opened[0]).txn, query(p.tab.opened[1]).txn);
  p.service.customer = 'c-1';
  done(p, p.tab.opened[0]);
  assert.equal(claims(p).length, 0, 'the newest wins');
  done(p, p.tab.opened[1]);
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'READY');
});

test('row 24: a verifier is used once', async () => {
  const p = await anonymous();
  p.chat.login();
  p.tab.opened[0].closed = true;
  assert.equal(p.chat.login(), 'POPUP_BLOCKED', 'within the same task the next one is not ready');
  await flush();
  assert.equal(p.chat.login(), 'LOGIN_PENDING');
  assert.notEqual(query(p.tab.opened[0]).challenge, query(p.tab.opened[1]).challenge);
});

test('row 24: another issuer is another sign-in', async () => {
  const p = await pending();
  await flush();
  p.chat.login({ idp: 'partner' });
  assert.equal(p.tab.opened.length, 2);
  assert.equal(p.tab.opened[0].name, p.tab.opened[1].name, 'in the same window');
});

test('row 25: after 15 minutes a sign-in is over', async () => {
  const p = await pending();
  await p.machine.advance(15 * 60 - 1);
  assert.equal(p.chat.state, 'LOGIN_PENDING');
  await p.machine.advance(2);
  assert.equal(p.chat.state, 'LOGIN_NEEDED');
  done(p);
  assert.equal(claims(p).length, 0);
});

test('row 25: the claim is refused: a new sign-in with the next click', async () => {
  for (const answer of [refusal(410, 'CP-408', 'login', { error: 'txn_expired' }), refusal(401, 'CP-401', 'login', { error: 'txn_expired' })]) {
    const p = await pending({ serve: { special: { '/v1/session': [answer] } } });
    done(p);
    await p.machine.advance(1);
    assert.equal(p.chat.state, 'LOGIN_NEEDED');
    assert.deepEqual(p.of('login').map(e => e.error), ['txn_expired']);
    assert.equal(p.chat.login(), 'LOGIN_PENDING');
  }
});

test('a refused claim does not touch the session that was there', async () => {
  for (const answer of [refusal(410, 'CP-408', 'login'), refusal(403, 'CP-302', 'no')]) {
    const p = await ready({ serve: { special: { '/v1/session': [answer] } } });
    p.chat.login();
    done(p);
    await p.machine.advance(1);
    assert.equal(p.chat.state, 'READY');
    assert.ok(p.ask().sync.Auth);
    assert.deepEqual(p.of('login').map(e => e.customerId), [null]);
    await p.machine.advance(365);
    assert.deepEqual([claims(p).length, p.requests('/v1/context').length], [1, 2], 'and goes on as before');
  }
});

test('a person who is not admitted is told so, and another may try', async () => {
  const p = await pending({ serve: { special: { '/v1/session': [refusal(403, 'CP-302', 'no', { error: 'access_denied' })] } } });
  done(p);
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'FATAL');
  assert.deepEqual(p.of('error').map(e => e.code), ['CP-302']);
  assert.equal(p.chat.login(), 'LOGIN_PENDING');
});

test('an unreachable service does not lose the sign-in: it is claimed again', async () => {
  const p = await pending({ serve: { special: { '/v1/session': [new TypeError('x'), refusal(503, 'CP-901', 'later')] } } });
  p.service.customer = 'c-1';
  done(p);
  await p.machine.advance(15);
  assert.equal(claims(p).length, 3);
  assert.equal(new Set(claims(p).map(c => c.verifier)).size, 1);
  assert.equal(p.chat.state, 'READY');
});

test('the answer to a claim is lost: the session it made is found', async () => {
  const p = await pending({ serve: { special: { '/v1/session': [new TypeError('x'), refusal(410, 'CP-409', 'login')] } } });
  p.service.customer = 'c-1';
  done(p);
  await p.machine.advance(15);
  assert.equal(p.chat.state, 'READY');
  assert.equal(p.requests('/v1/context').length, 2);
});

test('only a lost answer is looked for: the next sign-in, refused at once, is not', async () => {
  const p = await pending({ serve: { special: { '/v1/session': [new TypeError('x'), refusal(410, 'CP-408', 'login'), refusal(410, 'CP-408', 'login')] } } });
  done(p);
  await p.machine.advance(15);
  assert.equal(p.chat.state, 'ANON');
  const before = p.requests('/v1/context').length;
  p.chat.login();
  done(p);
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'LOGIN_NEEDED');
  assert.equal(p.requests('/v1/context').length, before);
});

test('a claim overtakes a renewal that is under way', async () => {
  const p = await ready();
  p.service.special['/v1/context'] = () => ({ ...p.service.grant(200), delay: 5000 });
  p.machine.sleep(400);
  p.chat.login();
  p.ask();
  p.chat.getToken({ force: true });
  p.service.sid = 'sid-2';
  done(p);
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'READY');
  await p.machine.advance(10);
  assert.equal(p.chat.state, 'READY');
});

test('row 14: somebody else signs in while the widget shows a customer: mismatch, and the claim can be accepted', async () => {
  const p = await ready();
  p.service.customer = undefined;
  await p.machine.advance(361);
  p.chat.login();
  p.service.customer = 'c-2';
  p.service.special['/v1/session'] = body => body.expected_customer ? refusal(409, 'CP-407', 'no') : undefined;
  done(p);
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'MISMATCH');
  p.chat.acceptCustomer();
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'READY');
  assert.equal(claims(p).length, 2);
  assert.deepEqual(p.calls.map(c => [c[0], c[1]?.CustomerId]), [
    ['setCustomer', 'c-1'], ['unloadAndClearSession', undefined], ['load', undefined], ['setCustomer', 'c-2'],
  ]);
});

test('row 15: the session of another person, who signed in on purpose, is there: it is not claimed again', async () => {
  const p = await ready();
  p.chat.login({ purpose: 'switch' });
  p.service.customer = 'c-2';
  done(p);
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'MISMATCH');
  p.service.special['/v1/session'] = () => refusal(410, 'CP-408', 'login', { error: 'txn_expired' });
  p.chat.acceptCustomer();
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'READY');
  assert.equal(claims(p).length, 1);
});

test('cookies blocked: works from the context in hand, says so, and signs in again when it ends', async () => {
  const p = await pending();
  p.service.customer = 'c-1';
  done(p);
  await p.machine.advance(1);
  p.service.customer = undefined; // the cookie did not stay: no session
  await p.machine.advance(400);
  assert.deepEqual(p.of('degraded').map(e => e.reason), ['cookies_blocked']);
  assert.ok(p.ask().sync.Auth);
  await p.machine.advance(194);
  const asked = p.ask();
  await p.machine.advance(4);
  assert.equal(asked.all.length, 1);
  p.machine.sleep(5);
  p.ask();
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'LOGIN_NEEDED');
});

test('a sign-in begun before anything was known, and given up: the session is looked for', async () => {
  const machine = new Machine();
  const service = Object.assign(new Service(machine), { customer: 'c-1' });
  const p = page(service, { attach: false });
  await flush();
  p.chat.login();
  done(p, undefined, { error: 'access_denied' });
  await machine.advance(3);
  assert.equal(p.chat.state, 'READY');
});

test('row 29: a sign-out drops the sign-in under way', async () => {
  const p = await pending();
  p.chat.logout();
  await p.machine.advance(1);
  done(p);
  await p.machine.advance(10);
  assert.equal(claims(p).length, 0);
  assert.equal(p.chat.state, 'SIGNED_OUT');
});

const RETURN = 'https://www.example.com/chat-return';

/** The page that the issuer sends the browser back to, in the same tab. */
function back(p, fragment, cfg = {}) {
  const tab = new Tab(p.machine, p.service.answer, RETURN + '#' + fragment);
  tab.stored = p.tab.stored;
  return page(p.service, { tab, cfg: { returnTo: RETURN, ...cfg } });
}

test('row 20: redirect where it is wanted or popups cannot work, if there is a page to return to', async () => {
  for (const [redirects, cfg, ask, before] of [
    [true, { returnTo: RETURN, redirect: true }],
    [true, { returnTo: RETURN }, { redirect: true }],
    [true, { returnTo: RETURN }, {}, tab => { tab.env.crossOriginIsolated = true; }],
    [true, { returnTo: RETURN }, {}, tab => { Object.defineProperty(tab.env.navigator, 'userAgent', { value: 'Mozilla/5.0 (iPhone; …) Safari' }); }],
    [false, { returnTo: RETURN }],
    [false, { redirect: true }],
    [false, { returnTo: RETURN, redirect: true }, { redirect: false }],
  ]) {
    const p = await anonymous({ cfg, before });
    assert.equal(p.chat.login(ask), 'LOGIN_PENDING');
    assert.equal(p.tab.opened.length, redirects ? 0 : 1);
    if (!redirects) continue;
    const { mode, return_to, txn } = query(p.tab.went[0]);
    assert.deepEqual({ mode, return_to }, { mode: 'redirect', return_to: RETURN });
    const { verifier, ...saved } = JSON.parse(p.tab.stored.get('chatpass'));
    assert.deepEqual(saved, { txn, back: 'https://www.example.com/chat', client: 'web-1' });
  }
});

test('row 20 and 21: the return page claims, forgets, and goes back to where the person was', async () => {
  const p = await anonymous({ cfg: { returnTo: RETURN, redirect: true } });
  p.chat.login();
  p.service.customer = 'c-1';
  const { txn } = query(p.tab.went[0]);
  const { verifier } = JSON.parse(p.tab.stored.get('chatpass'));
  const r = back(p, 'chatpass_txn=' + txn);
  assert.equal(r.tab.url.href, RETURN, 'the fragment is gone');
  assert.equal(p.tab.stored.size, 0);
  await p.machine.advance(1);
  assert.deepEqual(claims(r), [{ client_id: 'web-1', txn, verifier, code: null }]);
  assert.equal(r.chat.state, 'READY');
  assert.equal(r.requests('/v1/context').length, 0);
  assert.deepEqual(r.tab.went, ['https://www.example.com/chat']);
});

test('row 21: mode B brings a code in the fragment', async () => {
  const p = await anonymous({ cfg: { returnTo: RETURN, redirect: true } });
  p.chat.login();
  const r = back(p, `chatpass_txn=${query(p.tab.went[0]).txn}&chatpass_code=abc`);
  assert.equal(claims(r)[0].code, 'abc');
});

test('row 21: mode B, where the popup lost its opener: the return page passes the code on to the tab that waits', async () => {
  const p = await anonymous({ cfg: { returnTo: RETURN } });
  const stranger = page(p.service, { cfg: { returnTo: RETURN } });
  for (const tab of [p, stranger]) tab.chat.login();
  const [win] = p.tab.opened;
  const { txn, relay_uri } = query(win);
  assert.equal(relay_uri, RETURN);
  win.closed = true; // as a Cross-Origin-Opener-Policy makes it look
  await p.machine.advance(5);
  assert.equal(p.of('login').at(-1).error, 'window_closed');
  const relay = back({ ...p, tab: { stored: new Map() } }, `chatpass_txn=${txn}&chatpass_code=abc`);
  p.service.customer = 'c-1';
  await p.machine.advance(1);
  assert.deepEqual([relay, stranger].map(tab => claims(tab).length), [0, 0]);
  assert.equal(relay.tab.url.hash, '');
  assert.deepEqual(claims(p).map(({ txn, code }) => ({ txn, code })), [{ txn, code: 'abc' }]);
  assert.equal(p.chat.state, 'READY');
});

test('a redirect that comes back without a session: the person is told, and goes back', async () => {
  const p = await anonymous({ cfg: { returnTo: RETURN, redirect: true } });
  p.chat.login();
  const r = back(p, `chatpass_txn=${query(p.tab.went[0]).txn}&chatpass_error=temporarily_unavailable`);
  await p.machine.advance(1);
  assert.deepEqual(r.of('login'), [{ name: 'login', customerId: null, error: 'temporarily_unavailable' }]);
  assert.equal(claims(r).length, 0);
  assert.deepEqual(r.tab.went, ['https://www.example.com/chat']);
  assert.equal(r.chat.state, 'ANON');
});

test('a fragment that this page did not ask for is removed and claims nothing', async () => {
  const p = await anonymous({ cfg: { returnTo: RETURN, redirect: true } });
  p.chat.login();
  for (const [stored, fragment] of [[p.tab.stored, 'chatpass_txn=foreign'], [new Map(), 'chatpass_txn=foreign'], [new Map([['chatpass', '{"broken']]), 'chatpass_txn=x']]) {
    const r = back({ ...p, tab: { stored } }, fragment);
    await p.machine.advance(1);
    assert.equal(claims(r).length, 0);
    assert.equal(r.tab.url.hash, '');
    assert.deepEqual(r.tab.went, []);
  }
  const { txn } = query(p.tab.went[0]);
  assert.equal(claims(back(p, 'chatpass_txn=' + txn)).length, 1, 'its own is claimed all the same');
  const r = back(p, 'section-2');
  assert.equal(r.tab.url.hash, '#section-2', 'the page\'s own fragments stay');
});

test('two clients on the return page: each claims its own', async () => {
  const p = await anonymous({ cfg: { returnTo: RETURN, redirect: true } });
  p.chat.login();
  const { txn } = query(p.tab.went[0]);
  const other = back(p, 'chatpass_txn=' + txn, { clientId: 'web-2' });
  assert.equal(claims(other).length, 0);
  assert.equal(other.tab.url.hash, '#chatpass_txn=' + txn);
  assert.equal(claims(back(p, 'chatpass_txn=' + txn)).length, 1);
});

test('no way back to another origin', async () => {
  const p = await anonymous({ cfg: { returnTo: RETURN, redirect: true } });
  p.chat.login();
  const saved = JSON.parse(p.tab.stored.get('chatpass'));
  p.tab.stored.set('chatpass', JSON.stringify({ ...saved, back: 'https://evil.example/' }));
  p.service.customer = 'c-1';
  const r = back(p, 'chatpass_txn=' + saved.txn);
  await p.machine.advance(1);
  assert.equal(claims(r).length, 1);
  assert.deepEqual(r.tab.went, []);
});

test('back by the back button instead of a sign-in: the chat is usable again', async () => {
  const p = await anonymous({ cfg: { returnTo: RETURN, redirect: true } });
  p.chat.login();
  p.tab.window.fire('pageshow');
  await flush();
  assert.equal(p.chat.state, 'ANON');
  assert.equal(p.chat.login(), 'LOGIN_PENDING');
  assert.notEqual(query(p.tab.went[0]).txn, query(p.tab.went[1]).txn);
});

test('storage forbidden: redirect cannot work, and says so like a blocked popup', async () => {
  const forbid = tab => Object.defineProperty(tab.env, 'sessionStorage', { get() { throw new DOMException('no', 'SecurityError'); } });
  const p = await anonymous({ cfg: { returnTo: RETURN, redirect: true }, before: forbid });
  assert.equal(p.chat.login(), 'POPUP_BLOCKED');
  assert.deepEqual(p.tab.went, []);
  const tab = new Tab(p.machine, p.service.answer, RETURN + '#chatpass_txn=x');
  forbid(tab);
  assert.equal(page(p.service, { tab }).chat.state, 'CHECKING');
});
