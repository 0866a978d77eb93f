// Tabs of one browser: one renews for all, one sign-in or sign-out is everybody's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine, Service, Tab, flush, page, refusal } from './service.mjs';

/** So many visible tabs of one browser, all ready unless nobody is signed in. */
async function tabs(n, { cfg = {}, serve = { customer: 'c-1' }, before } = {}) {
  const machine = new Machine(7);
  const service = Object.assign(new Service(machine), serve);
  const pages = [];
  for (let i = 0; i < n; i++) {
    pages.push(page(service, { cfg: Array.isArray(cfg) ? cfg[i] : cfg, before }));
    await machine.advance(1);
  }
  const all = path => pages.flatMap(p => p.requests(path));
  return { machine, service, pages, all };
}

/** Lets time pass until a tab has renewed its context. */
async function renewal(p, machine) {
  const before = p.requests('/v1/context').length;
  while (p.requests('/v1/context').length === before) await machine.advance(1);
}

async function signIn(p, machine) {
  p.chat.login();
  const win = p.tab.opened.at(-1);
  p.tab.message({ v: 1, type: 'chatpass.login', txn: new URL(win.url).searchParams.get('txn') }, win);
  await machine.advance(0.1);
}

test('row 27: one tab renews, the others take its context', async () => {
  const { machine, pages, all } = await tabs(10);
  const before = all('/v1/context').length;
  await machine.advance(420);
  assert.equal(all('/v1/context').length - before, 1);
  const tokens = pages.map(p => p.ask().sync.Auth.Token);
  assert.equal(new Set(tokens).size, 1);
});

test('row 27: ten visible tabs ask at most 16 times an hour, hidden ones never', async () => {
  const { machine, pages, all } = await tabs(10);
  await machine.advance(600);
  const before = all('/v1/context').length;
  await machine.advance(3600);
  const visible = all('/v1/context').length - before;
  assert.ok(visible <= 16, `${visible} requests an hour`);
  pages.slice(1).forEach(p => p.tab.hide());
  const counts = () => pages.map(p => p.requests('/v1/context').length);
  const hidden = counts();
  await machine.advance(3600);
  assert.ok(counts()[0] - hidden[0] <= 13);
  assert.deepEqual(counts().slice(1), hidden.slice(1));
  assert.ok(pages[9].ask().sync.Auth, 'and still have a usable context');
});

test('row 27: shareContext false neither gives nor takes', async () => {
  for (const cfg of [[{ shareContext: false }, {}], [{}, { shareContext: false }]]) {
    const { machine, pages } = await tabs(2, { cfg });
    pages[1].tab.hide();
    await machine.advance(370);
    assert.notEqual(pages[0].ask().sync.Auth.Token, pages[1].ask().sync.Auth.Token);
  }
});

test('row 27: not for another audience, scope, conversation, customer or session', async () => {
  for (const cfg of [{ audience: 'x' }, { scope: 'chat:read' }, { conversation: '42' }]) {
    const { machine, pages } = await tabs(2, { cfg: [{}, cfg] });
    pages[1].tab.hide();
    await machine.advance(370);
    assert.notEqual(pages[0].ask().sync.Auth.Token, pages[1].ask().sync.Auth.Token, JSON.stringify(cfg));
  }
  for (const change of [s => { s.sid = 'sid-2'; }, s => { s.customer = 'c-2'; s.sid = 'sid-1'; }]) {
    const { machine, service, pages } = await tabs(1);
    pages[0].tab.hide();
    change(service);
    const other = page(service);
    await machine.advance(370);
    assert.notEqual(pages[0].ask().sync.Auth?.Token, other.ask().sync.Auth.Token);
  }
});

test('row 27: a tab that was frozen does not take an old context for a new one', async () => {
  const { machine, service, pages } = await tabs(2);
  pages[1].tab.hide();
  pages[1].tab.freeze();
  await renewal(pages[0], machine);
  machine.sleep(3600);
  pages[1].tab.frozen = false;
  const asked = pages[1].ask();
  pages[1].tab.thaw();
  await flush();
  assert.deepEqual(asked.all, []);
  await machine.advance(1);
  assert.ok(service.ends.get(asked.all[0].Auth.Token) > machine.time);
});

test('row 27: the message was under way while the clock was set back: the other clock tells', async () => {
  const { machine, service, pages } = await tabs(2);
  pages[1].tab.hide();
  pages[1].tab.freeze();
  await renewal(pages[0], machine);
  machine.sleep(580);
  machine.jump(-600);
  pages[1].tab.frozen = false;
  const asked = pages[1].ask();
  pages[1].tab.thaw();
  await flush();
  assert.deepEqual(asked.all, []);
  await machine.advance(1);
  assert.ok(service.ends.get(asked.all[0].Auth.Token) - machine.time > 500_000);
});

test('row 27: a context taken late is aged by both clocks', async () => {
  for (const sleep of [m => m.sleep(450, true), m => { m.sleep(450); m.jump(-600); }]) {
    const { machine, service, pages } = await tabs(2);
    pages[1].tab.hide();
    pages[1].tab.freeze();
    await renewal(pages[0], machine);
    pages[0].tab.hide();
    machine.sleep(100); // so long after the renewal its message is heard
    pages[1].tab.thaw();
    await flush();
    const { Token } = pages[1].ask().sync.Auth;
    assert.equal(Token, pages[0].ask().sync.Auth.Token);
    sleep(machine);
    const asked = pages[1].ask();
    assert.equal(asked.sync, undefined, 'less than F is left');
    await machine.advance(1);
    assert.ok(service.ends.get(asked.all[0].Auth.Token) - machine.time > 500_000);
  }
});

test('row 27: a context shared in an outage ends it for the others', async () => {
  const { machine, service, pages } = await tabs(2);
  service.special['/v1/context'] = (_, tab) => tab === pages[1].tab ? refusal(503, 'CP-901', 'later') : undefined;
  pages[0].tab.hide();
  machine.sleep(590);
  pages[1].ask();
  await machine.advance(0.1);
  assert.equal(pages[1].chat.state, 'BACKOFF');
  pages[0].tab.show();
  await machine.advance(0.1);
  assert.equal(pages[1].chat.state, 'READY');
  assert.ok(pages[1].ask().sync.Auth);
  pages[0].tab.hide();
  service.special = {};
  machine.sleep(700);
  assert.equal(pages[1].ask().sync, undefined, 'and the widget waits for the service again');
});

test('row 27: a context taken over while a request is under way, and then a sleep: the widget waits for the request', async () => {
  const { machine, service, pages } = await tabs(2);
  pages[1].tab.hide();
  machine.sleep(380);
  const slow = () => ({ ...service.grant(200), delay: 3000 });
  service.special['/v1/context'] = (_, tab) => tab === pages[1].tab ? slow() : undefined;
  pages[1].ask();
  assert.equal(pages[1].chat.state, 'RENEWING');
  await flush();
  pages[0].chat.getToken({ force: true });
  await machine.advance(0.1);
  assert.equal(pages[1].chat.state, 'READY', 'it took the other tab\'s context');
  machine.sleep(3600);
  service.special = {};
  const asked = pages[1].ask();
  assert.equal(asked.sync, undefined);
  assert.equal(pages[1].chat.state, 'STALE');
  await machine.advance(5);
  assert.equal(asked.all.length, 1);
  assert.ok(service.ends.get(asked.all[0].Auth.Token) > machine.time);
});

test('row 27: a context of another tab does not end a sign-in under way', async () => {
  const { machine, pages } = await tabs(2);
  pages[1].chat.login();
  const { Token } = pages[1].ask().sync.Auth;
  await renewal(pages[0], machine);
  assert.equal(pages[1].chat.state, 'LOGIN_PENDING');
  assert.notEqual(pages[1].ask().sync.Auth.Token, Token);
});

test('row 28: the service ended the session: every tab of that session knows, with one request', async () => {
  for (const [code, state] of [['CP-402', 'LOGIN_NEEDED'], ['CP-406', 'SIGNED_OUT']]) {
    const { machine, service, pages, all } = await tabs(3);
    service.special['/v1/context'] = () => refusal(401, code, 'login', { reason: 'why' });
    await machine.advance(365);
    assert.deepEqual(pages.map(p => p.chat.state), [state, state, state]);
    assert.equal(all('/v1/context').length, 4);
    assert.deepEqual(pages[2].ask().sync, {});
    assert.equal(pages[2].of('state').at(-1).reason, 'why');
    assert.deepEqual(pages[2].calls.map(c => c[0]), state === 'SIGNED_OUT' ? ['setCustomer', 'unloadAndClearSession', 'load'] : ['setCustomer']);
  }
});

test('row 28: a tab in trouble that hears of the end is in trouble no more', async () => {
  const { machine, service, pages } = await tabs(2);
  service.special['/v1/context'] = (_, tab) => tab === pages[1].tab ? new TypeError('x') : refusal(401, 'CP-402', 'login');
  machine.sleep(700);
  pages[1].ask();
  await machine.advance(0.1);
  assert.equal(pages[1].chat.state, 'BACKOFF');
  const before = pages[1].of('degraded').length;
  pages[0].ask();
  await machine.advance(0.1);
  assert.equal(pages[1].chat.state, 'LOGIN_NEEDED');
  await machine.advance(30);
  pages[1].ask();
  await flush();
  assert.equal(pages[1].of('degraded').length, before);
});

test('row 28: the end of another session is not ours', async () => {
  const { machine, service, pages } = await tabs(1);
  service.sid = 'sid-2';
  const other = page(service);
  await machine.advance(1);
  service.special['/v1/context'] = (_, tab) => tab === other.tab ? refusal(401, 'CP-406', 'login') : undefined;
  other.chat.getToken({ force: true });
  await machine.advance(1);
  assert.equal(other.chat.state, 'SIGNED_OUT');
  assert.equal(pages[0].chat.state, 'READY');
});

test('row 28: a sign-out is everybody\'s, and drops the sign-ins under way', async () => {
  const { machine, pages } = await tabs(3);
  pages[1].chat.login();
  pages[2].tab.hide();
  pages[0].chat.logout();
  await machine.advance(1);
  assert.deepEqual(pages.map(p => p.chat.state), Array(3).fill('SIGNED_OUT'));
  assert.deepEqual(pages[2].calls.map(c => c[0]), ['setCustomer', 'unloadAndClearSession', 'load']);
  const [win] = pages[1].tab.opened;
  pages[1].tab.message({ v: 1, type: 'chatpass.login', txn: new URL(win.url).searchParams.get('txn') }, win);
  await machine.advance(1);
  assert.equal(pages[1].requests('/v1/session').length, 0);
});

test('row 28: a sign-out clears the transcript that an ended session left', async () => {
  const { machine, service, pages } = await tabs(2);
  service.special['/v1/context'] = () => refusal(401, 'CP-402', 'login');
  await machine.advance(365);
  assert.deepEqual(pages.map(p => p.chat.state), ['LOGIN_NEEDED', 'LOGIN_NEEDED']);
  pages[0].chat.logout();
  await machine.advance(1);
  assert.deepEqual(pages.map(p => p.calls.map(c => c[0])), Array(2).fill(['setCustomer', 'unloadAndClearSession', 'load']));
});

test('row 28: a sign-out does not disturb an anonymous chat, but drops its sign-in', async () => {
  const { machine, service, pages } = await tabs(1, { serve: {} });
  const early = page(service);
  await flush();
  early.chat.login(); // before the first answer came
  await machine.advance(0.2);
  assert.equal(early.chat.state, 'ANON');
  pages[0].chat.logout();
  await machine.advance(0.2);
  const [win] = early.tab.opened;
  early.tab.message({ v: 1, type: 'chatpass.login', txn: new URL(win.url).searchParams.get('txn') }, win);
  await machine.advance(1);
  assert.equal(early.chat.state, 'ANON');
  assert.deepEqual([early.calls, early.requests('/v1/session')], [[], []]);
});

test('row 28: who is signed out already, or refused for good, does not hear it again', async () => {
  const { machine, service, pages } = await tabs(3);
  pages[0].chat.logout();
  await machine.advance(1);
  service.special['/v1/context'] = () => refusal(403, 'CP-302', 'no');
  const fatal = page(service);
  await machine.advance(1);
  pages[1].chat.logout();
  await machine.advance(1);
  assert.deepEqual(pages.map(p => p.of('logout').length), [1, 2, 1]);
  assert.equal(fatal.chat.state, 'FATAL');
});

test('row 26: a sign-in in one tab is found by the others, without a second prompt', async () => {
  const { machine, service, pages } = await tabs(4, { serve: {} });
  pages[3].tab.hide();
  service.customer = 'c-1';
  await signIn(pages[0], machine);
  assert.equal(pages[0].chat.state, 'READY');
  await machine.advance(2.1);
  assert.deepEqual(pages.map(p => p.chat.state), ['READY', 'READY', 'READY', 'ANON']);
  const last = pages[1].requests('/v1/context').at(-1);
  assert.deepEqual([last.cause, last.activity], ['load', 'passive']);
  assert.deepEqual(pages[1].calls.map(c => c[0]), ['setCustomer']);
  assert.equal(pages[1].tab.opened.length, 0);
  pages[3].tab.show();
  await machine.advance(2.1);
  assert.equal(pages[3].chat.state, 'READY', 'a hidden tab when it is seen');
});

test('row 26: the same person again after the session ended: the widgets of all tabs are told', async () => {
  const { machine, service, pages } = await tabs(2);
  service.special['/v1/context'] = body => body.cause === 'load' ? undefined : refusal(401, 'CP-402', 'login');
  await machine.advance(365);
  assert.deepEqual(pages.map(p => p.chat.state), ['LOGIN_NEEDED', 'LOGIN_NEEDED']);
  service.sid = 'sid-2';
  await signIn(pages[0], machine);
  await machine.advance(2.1);
  assert.deepEqual(pages.map(p => p.chat.state), ['READY', 'READY']);
  assert.deepEqual(pages[1].calls.map(c => [c[0], c[1].CustomerId]), [['setCustomer', 'c-1'], ['setCustomer', 'c-1']]);
});

test('row 26: nobody is pulled out of a sign-out', async () => {
  const { machine, service, pages } = await tabs(2);
  pages[1].chat.logout();
  await machine.advance(1);
  service.customer = 'c-1';
  service.sid = 'sid-2';
  await signIn(pages[0], machine);
  await machine.advance(3);
  assert.equal(pages[1].chat.state, 'SIGNED_OUT');
});

test('row 14: somebody else signs in in one tab: within 2 s no other tab hands out contexts of the one before', async () => {
  const { machine, service, pages } = await tabs(3);
  pages[0].service.customer = 'c-2';
  service.sid = 'sid-2';
  service.special['/v1/session'] = body => body.expected_customer ? refusal(409, 'CP-407', 'no') : undefined;
  await signIn(pages[0], machine);
  assert.equal(pages[0].chat.state, 'MISMATCH');
  await machine.advance(2.1);
  assert.deepEqual(pages.map(p => p.chat.state), ['MISMATCH', 'MISMATCH', 'MISMATCH']);
  pages[0].chat.acceptCustomer();
  await machine.advance(3);
  assert.deepEqual(pages.map(p => p.chat.state), ['READY', 'MISMATCH', 'MISMATCH']);
});

test('row 14: a tab that shows the new customer already is not disturbed by the mismatch of another', async () => {
  const { machine, service, pages } = await tabs(1);
  Object.assign(service, { customer: 'c-2', sid: 'sid-2' });
  const other = page(service);
  await machine.advance(1);
  pages[0].chat.getToken({ force: true });
  await machine.advance(3);
  assert.equal(pages[0].chat.state, 'MISMATCH');
  assert.equal(other.chat.state, 'READY');
  assert.equal(other.requests('/v1/context').length, 1);
});

test('messages of another client, version or kind are not heard; without BroadcastChannel each tab is on its own', async () => {
  const { machine, pages } = await tabs(2, { cfg: [{}, { clientId: 'web-2' }] });
  pages[1].chat.logout();
  for (const c of machine.channels) if (c.name === 'chatpass:web-1') {
    c.onmessage({ data: { v: 2, kind: 'logout', at: [0, 0] } });
    c.onmessage({ data: { v: 1, kind: 'other', at: [0, 0] } });
    c.onmessage({ data: null });
  }
  await machine.advance(1);
  assert.equal(pages[0].chat.state, 'READY');
  const alone = await tabs(2, { before: tab => { delete tab.env.BroadcastChannel; } });
  await alone.machine.advance(365);
  assert.deepEqual(alone.pages.map(p => p.requests('/v1/context').length), [2, 2]);
});
