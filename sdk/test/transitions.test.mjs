// The transition table, row by row; sign-in, tabs and widget have files of their own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine, Service, anonymous, flush, page, ready, refusal } from './service.mjs';

const contexts = p => p.requests('/v1/context');
const causes = p => contexts(p).map(r => r.cause);
const down = () => refusal(503, 'CP-901', 'later');

/** A page whose service is down while it holds a context that still lasts so many seconds. */
async function outage(left = 200, options = {}) {
  const p = await ready(options);
  p.service.special['/v1/context'] = options.fault ?? down;
  p.tab.hide();
  p.machine.sleep(599 - left);
  p.tab.show();
  await p.machine.advance(1.5);
  return p;
}

test('row 1: attach in a visible tab looks for the session, passively', async () => {
  const p = await ready();
  assert.deepEqual(p.states(), ['CHECKING', 'READY']);
  assert.deepEqual(contexts(p), [{ client_id: 'web-1', activity: 'passive', cause: 'load' }]);
  const { url, init } = p.tab.requests[0];
  assert.equal(url, 'https://auth.example.com/v1/context');
  assert.equal(init.credentials, 'include');
  assert.deepEqual(init.headers, { 'Content-Type': 'application/json', 'X-Chatpass-Client': 'web/0.1.0' });
});

test('row 1: the page\'s wishes go along', async () => {
  const wishes = { audience: 'https://api', scope: 'chat:read', conversation: '42' };
  const p = await ready({ cfg: wishes });
  assert.deepEqual(contexts(p)[0], { client_id: 'web-1', ...wishes, activity: 'passive', cause: 'load' });
});

test('row 1: ready and onToken look for the session too; creating alone does not', async () => {
  for (const [use, requests] of [[() => {}, 0], [chat => chat.ready, 1], [chat => chat.onToken(() => {}), 1]]) {
    const machine = new Machine();
    const p = page(new Service(machine), { attach: false });
    use(p.chat);
    await machine.advance(1);
    assert.equal(p.tab.requests.length, requests);
  }
});

test('row 2: a hidden tab asks nothing until it is seen', async () => {
  const machine = new Machine();
  const service = Object.assign(new Service(machine), { customer: 'c-1' });
  const p = page(service, { before: tab => { tab.visibility = 'hidden'; } });
  await machine.advance(3600);
  assert.equal(p.tab.requests.length, 0);
  assert.equal(p.chat.state, 'INIT');
  p.tab.show();
  await machine.advance(1);
  assert.equal(p.chat.state, 'READY');
});

test('row 3: ready says who is there', async () => {
  const p = await ready();
  assert.deepEqual(await p.chat.ready, { customerId: 'c-1' });
});

test('row 4: nobody there: one request, no timer, no prompt, no console error', async () => {
  const p = await anonymous();
  assert.deepEqual(p.states(), ['CHECKING', 'ANON']);
  assert.equal(await p.chat.ready, null);
  await p.machine.advance(3600);
  assert.equal(p.tab.requests.length, 1);
  assert.equal(p.machine.timers.filter(t => t.at > p.machine.awake).length, 0);
  assert.deepEqual([p.tab.opened, p.tab.errors, p.calls], [[], [], []]);
});

test('row 5: an outage at load is neither a sign-out nor a prompt; ready does not hang', async () => {
  const machine = new Machine();
  const service = Object.assign(new Service(machine), { customer: 'c-1', special: { '/v1/context': [down(), down()] } });
  const p = page(service);
  await machine.advance(0.05);
  assert.equal(p.chat.state, 'BACKOFF');
  assert.equal(await p.chat.ready, null);
  await machine.advance(10);
  assert.deepEqual(p.states().slice(0, 5), ['CHECKING', 'BACKOFF', 'STALE', 'BACKOFF', 'STALE']);
  assert.equal(p.chat.state, 'READY');
  assert.deepEqual([...new Set(causes(p))], ['load'], 'the first answer is still to come: no 401 for a visitor');
});

test('row 5: full jitter between 0 and 1, 2, 4 … 60 s', async () => {
  const most = [1, 2, 4, 8, 16, 60, 60, 60]; // the sixth would be 32 s, but for 6 tries a minute
  const longest = most.map(() => 0);
  for (let seed = 1; seed < 30; seed++) {
    const p = await ready({ seed });
    const times = [];
    p.service.special['/v1/context'] = () => {
      times.push(p.machine.time);
      return down();
    };
    p.machine.sleep(600);
    p.ask();
    await p.machine.advance(600);
    most.forEach((m, i) => {
      const pause = (times[i + 1] - times[i]) / 1000;
      assert.ok(pause <= m + 0.2, `pause ${i + 1}: ${pause} s`);
      longest[i] = Math.max(longest[i], pause);
    });
  }
  most.forEach((m, i) => assert.ok(longest[i] > m * 0.6, `longest pause ${i + 1} of 29: ${longest[i]} s`));
});

test('row 5: Retry-After is the least pause, of the body or the header, for the person too', async () => {
  for (const [fault, floor] of [
    [() => refusal(503, 'CP-901', 'later', { retry_after: 20 }), 20],
    [() => ({ status: 503, text: '<html>', headers: { 'Retry-After': '20' } }), 20],
    [() => refusal(429, 'CP-703', 'later', { retry_after: 1e9 }), 300],
  ]) {
    const p = await outage(30, { fault });
    const before = contexts(p).length;
    for (let i = 0; i < 17; i++) {
      p.ask();
      p.tab.hide();
      p.tab.show();
      await p.machine.advance(1);
    }
    assert.equal(contexts(p).length, before, 'within Retry-After nothing is asked');
    await p.machine.advance(floor * 1.5);
    assert.ok(contexts(p).length > before);
  }
});

test('row 5: half of Retry-After is added as jitter', async () => {
  const pauses = [];
  for (let seed = 1; seed <= 20; seed++) {
    const p = await ready({ seed });
    p.service.special['/v1/context'] = [refusal(503, 'CP-901', 'later', { retry_after: 20 })];
    p.machine.sleep(600);
    p.ask();
    const from = p.machine.time;
    while (p.chat.state !== 'READY') await p.machine.advance(0.1);
    pauses.push((p.machine.time - from) / 1000);
  }
  assert.ok(Math.min(...pauses) >= 20 && Math.max(...pauses) <= 30.3, pauses.join());
  assert.ok(Math.max(...pauses) > 27, pauses.join());
});

test('row 5: an outage at load, and then nobody is there: the widget is told so, without trouble', async () => {
  const machine = new Machine();
  const p = page(Object.assign(new Service(machine), { special: { '/v1/context': [down()] } }));
  await machine.advance(10);
  assert.equal(p.chat.state, 'ANON');
  assert.deepEqual(p.ask().sync, {});
  await flush();
  assert.deepEqual(p.of('degraded'), []);
});

test('row 5: whatever is not our own word is an outage: never a sign-in prompt', async () => {
  const faults = {
    'network error': () => new TypeError('Failed to fetch'),
    'time-out': () => null,
    'HTML 401 of a proxy': () => ({ status: 401, text: '<html>sign in to the hotel</html>' }),
    'HTML 200 of a captive portal': () => ({ status: 200, text: '<html>' }),
    'JSON 200 of somebody else': () => ({ status: 200, body: { ok: true } }),
    'JSON null': () => ({ status: 200, body: null }),
    'JSON 401 of somebody else': () => ({ status: 401, body: { error: 'login_required', retry: 'login' } }),
    'JSON 403 of somebody else': () => ({ status: 403, body: { error: 'access_denied' } }),
    'half a grant': () => ({ status: 200, body: { active: true, customer_id: 'c-1', context: { token: 't' } } }),
    'a grant without times': () => ({ status: 200, body: { customer_id: 'c-1', session: { sid: 's', expires_in: 1 }, context: { token: 't', expires_in: 9 } } }),
    '500 server_error': () => refusal(500, 'CP-900', 'later'),
    '429 slow_down': () => refusal(429, 'CP-701', 'later'),
    'a word to come': () => refusal(418, 'CP-999', 'perhaps'),
  };
  for (const [name, fault] of Object.entries(faults)) {
    const p = await outage(200, { fault });
    await p.machine.advance(20);
    assert.ok(['BACKOFF', 'RENEWING'].includes(p.chat.state), `${name}: ${p.chat.state}`);
    assert.ok(p.ask().sync.Auth, name + ': the context is kept');
    p.service.special = {};
    await p.machine.advance(120);
    assert.equal(p.chat.state, 'READY', name);
    assert.deepEqual(p.of('logout'), []);
  }
});

test('row 5b: a tab that becomes visible tries at once', async () => {
  const p = await outage();
  await p.machine.advance(40);
  p.tab.hide();
  const before = contexts(p).length;
  await p.machine.advance(600);
  assert.equal(contexts(p).length, before, 'hidden tabs do not try');
  p.service.special = {};
  p.tab.show();
  await p.machine.advance(0.1);
  assert.equal(p.chat.state, 'READY');
});

test('row 5b: the widget tries too, once the context is of no use, at most each 2 s', async () => {
  const p = await outage(-1);
  p.tab.hide();
  const before = contexts(p).length;
  for (let i = 0; i < 30; i++) {
    p.ask();
    await p.machine.advance(0.1);
  }
  assert.equal(contexts(p).length - before, 1);
});

test('row 6: renews by its timer while it is seen', async () => {
  const p = await ready();
  await p.machine.advance(358);
  assert.equal(contexts(p).length, 1);
  await p.machine.advance(2);
  assert.deepEqual(causes(p), ['load', 'timer']);
  assert.deepEqual(p.states(), ['CHECKING', 'READY', 'RENEWING', 'READY']);
  assert.deepEqual(p.calls.length, 1, 'no setCustomer for a renewal');
});

test('row 6: renewIn is the service\'s to say', async () => {
  const p = await ready({ serve: { life: 90, renewIn: 45, floor: 18 } });
  await p.machine.advance(46);
  assert.equal(contexts(p).length, 2);
});

test('row 6: a service that says renew_in 0 is not run over', async () => {
  const p = await ready({ serve: { renewIn: 0 } });
  assert.ok(p.ask().sync.Auth);
  await p.machine.advance(600);
  assert.ok(contexts(p).length <= 6 * 11, `${contexts(p).length} requests`);
});

test('row 7 and 8: a hidden tab does nothing; seen again, it renews what is due', async () => {
  const p = await ready();
  p.tab.hide();
  await p.machine.advance(500);
  assert.equal(contexts(p).length, 1);
  p.tab.show();
  assert.equal(p.chat.state, 'READY');
  await p.machine.advance(1.1);
  assert.deepEqual(causes(p), ['load', 'wake']);
  assert.equal(p.chat.state, 'READY');
});

test('row 8: an unusable context is renewed without jitter', async () => {
  const p = await ready();
  p.tab.hide();
  p.machine.sleep(3600);
  p.tab.show();
  assert.equal(p.chat.state, 'STALE');
  await p.machine.advance(0.05);
  assert.equal(p.chat.state, 'READY');
});

test('row 8: not due, nothing is asked; the timer runs again', async () => {
  const p = await ready();
  p.tab.hide();
  await p.machine.advance(100);
  p.tab.show();
  await p.machine.advance(250);
  assert.equal(contexts(p).length, 1);
  await p.machine.advance(15);
  assert.equal(contexts(p).length, 2);
});

test('row 8: focus, pageshow and resume wake as well', async () => {
  for (const wake of [p => p.tab.window.fire('focus'), p => p.tab.window.fire('pageshow'), p => p.tab.document.fire('resume')]) {
    const p = await ready();
    p.machine.timers = [];
    p.machine.sleep(700);
    wake(p);
    await p.machine.advance(0.1);
    assert.deepEqual(causes(p), ['load', 'wake']);
  }
});

test('row 8: waking again and again leaves one timer', async () => {
  const p = await ready();
  await p.machine.advance(100);
  p.machine.sleep(300);
  for (let i = 0; i < 20; i++) p.tab.window.fire('focus');
  assert.equal(p.machine.timers.filter(t => t.at > p.machine.awake && t.at < p.machine.awake + 1500).length, 1);
});

test('row 8: a sleep is told from a timer', async () => {
  const p = await ready();
  await p.machine.advance(330);
  p.machine.sleep(50);
  await p.machine.advance(16);
  assert.deepEqual(causes(p), ['load', 'wake']);
});

test('row 8: a missed heartbeat shows a sleep that no event told of', async () => {
  for (const perfSleeps of [true, false]) {
    const p = await ready();
    p.machine.sleep(400, perfSleeps);
    await p.machine.advance(16);
    assert.deepEqual(causes(p), ['load', 'wake'], `perfSleeps: ${perfSleeps}`);
  }
});

test('row 9: less than F left: renewed on demand', async () => {
  const p = await ready();
  p.tab.hide();
  p.machine.sleep(545);
  const asked = p.ask();
  assert.equal(p.chat.state, 'STALE');
  await p.machine.advance(0.1);
  assert.equal(p.chat.state, 'READY');
  assert.ok(asked.all[0].Auth);
  assert.deepEqual(causes(p), ['load', 'demand']);
});

test('row 9: the request says whether somebody was there since the one before', async () => {
  for (const [before, activity] of [[59, 'active'], [350, 'active'], [undefined, 'passive']]) {
    const p = await ready();
    await p.machine.advance(359 - (before ?? 100));
    if (before) p.tab.click();
    await p.machine.advance(before ?? 101);
    await p.machine.advance(1);
    assert.equal(contexts(p)[1].activity, activity, `input ${before} s before`);
    await p.machine.advance(365);
    assert.equal(contexts(p)[2].activity, 'passive', 'input counts once');
  }
  const p = await ready();
  const options = p.tab.window.listeners.filter(l => /pointerdown|keydown/.test(l.name)).map(l => l.options);
  assert.deepEqual(options, [true, true], 'captured: a page that stops events does not hide them');
  p.tab.window.fire('keydown', { isTrusted: false });
  await p.machine.advance(1);
  p.machine.sleep(599);
  p.ask();
  assert.equal(contexts(p)[1].activity, 'passive', 'a script\'s event is no input');
});

test('row 12: time-outs end the session, and the transcript stays', async () => {
  for (const code of ['CP-401', 'CP-402', 'CP-403', 'CP-411', 'CP-412']) {
    const p = await ready({ serve: { special: { '/v1/context': body => body.cause === 'load' ? undefined : refusal(401, code, 'login', { reason: 'why' }) } } });
    await p.machine.advance(361);
    assert.equal(p.chat.state, 'LOGIN_NEEDED');
    assert.equal(await p.chat.ready, null);
    assert.equal(p.of('state').at(-1).reason, 'why');
    assert.deepEqual(p.ask().sync, {});
    assert.deepEqual(p.calls.map(c => c[0]), ['setCustomer']);
    assert.equal(p.machine.timers.filter(t => t.at > p.machine.awake + 8000).length, 0, 'no timers');
  }
});

test('row 12: signed out, ended by the issuer, revoked, disabled: the widget forgets the person', async () => {
  for (const code of ['CP-404', 'CP-405', 'CP-406', 'CP-410']) {
    const p = await ready({ serve: { special: { '/v1/context': body => body.cause === 'load' ? undefined : refusal(401, code, 'login', { reason: 'why' }) } } });
    await p.machine.advance(361);
    assert.equal(p.chat.state, 'SIGNED_OUT');
    assert.deepEqual(p.calls.map(c => c[0]), ['setCustomer', 'unloadAndClearSession', 'load']);
    assert.deepEqual(p.of('logout').map(e => e.reason), ['why']);
  }
});

test('row 12: after the end the sign-in asks for what the service wants, until one succeeded', async () => {
  const login = { prompt: 'login', acr_values: 'urn:mfa', max_age: 0 };
  const p = await ready({ serve: { special: { '/v1/context': body => body.cause === 'load' ? undefined : refusal(401, 'CP-402', 'login', { login }) } } });
  await p.machine.advance(361);
  p.chat.login();
  const query = new URL(p.tab.opened[0].url).searchParams;
  assert.deepEqual(['prompt', 'acr_values', 'max_age'].map(n => query.get(n)), ['login', 'urn:mfa', '0']);
});

test('row 14: another customer: nothing is handed out, the widget forgets the person', async () => {
  const p = await ready();
  p.service.customer = 'c-2';
  await p.machine.advance(361);
  assert.equal(p.chat.state, 'MISMATCH');
  assert.equal(contexts(p)[1].expected_customer, 'c-1');
  assert.deepEqual(p.ask().sync, {});
  assert.deepEqual(p.calls.map(c => c[0]), ['setCustomer', 'unloadAndClearSession', 'load']);
  assert.equal(p.of('usermismatch').length, 1);
});

test('row 14: a context of another customer is refused even if the service gave it', async () => {
  const p = await ready();
  p.service.special['/v1/context'] = () => { p.service.customer = 'c-2'; return p.service.grant(200); };
  await p.machine.advance(361);
  assert.equal(p.chat.state, 'MISMATCH');
  assert.deepEqual(p.ask().sync, {});
});

test('row 15: the page accepts the other customer', async () => {
  const p = await ready();
  p.service.customer = 'c-2';
  await p.machine.advance(361);
  p.chat.acceptCustomer();
  assert.equal(p.chat.state, 'CHECKING');
  await p.machine.advance(1);
  assert.equal(contexts(p).at(-1).expected_customer, undefined);
  assert.equal(p.chat.state, 'READY');
  assert.equal(p.calls.at(-1)[1].CustomerId, 'c-2');
  p.chat.acceptCustomer();
  assert.equal(p.chat.state, 'READY', 'elsewhere it does nothing');
});

test('row 16 and 17: offline pauses, online renews within 3 s, nobody is signed out', async () => {
  const p = await ready();
  await p.machine.advance(300);
  p.tab.goOffline();
  assert.equal(p.chat.state, 'OFFLINE');
  assert.ok(p.ask().sync.Auth, 'the context is used while it lasts');
  await p.machine.advance(600);
  assert.equal(contexts(p).length, 1);
  assert.deepEqual(p.ask().sync, {}, 'nobody waits for what cannot come');
  await flush();
  p.tab.goOnline();
  await p.machine.advance(2.1);
  assert.equal(p.chat.state, 'READY');
  assert.equal(causes(p).at(-1), 'online');
  assert.deepEqual(p.of('logout'), []);
});

test('row 16: a request that fails while the browser says offline', async () => {
  const p = await ready();
  p.tab.online = false; // no event came
  await p.machine.advance(361);
  assert.equal(p.chat.state, 'OFFLINE');
  p.tab.hide();
  p.tab.goOnline();
  await p.machine.advance(60);
  assert.equal(p.chat.state, 'OFFLINE', 'hidden tabs wait until they are seen');
  p.tab.show();
  await p.machine.advance(0.1);
  assert.equal(p.chat.state, 'READY');
});

test('row 16: from a first look and from an outage too', async () => {
  const machine = new Machine();
  const service = Object.assign(new Service(machine), { customer: 'c-1', special: { '/v1/context': [null] } });
  const p = page(service);
  p.tab.goOffline();
  assert.equal(p.chat.state, 'OFFLINE');
  const q = await outage();
  q.tab.goOffline();
  assert.equal(q.chat.state, 'OFFLINE');
});

test('row 16: offline is no matter where nothing is asked anyway', async () => {
  const p = await anonymous();
  p.tab.goOffline();
  p.tab.goOnline();
  await p.machine.advance(10);
  assert.equal(p.chat.state, 'ANON');
  assert.equal(contexts(p).length, 1);
});

test('row 29: sign-out: nothing is handed out from the first moment, the widget forgets, E8 is sent', async () => {
  const p = await ready();
  const out = p.chat.logout({ scope: 'global' });
  assert.equal(p.chat.state, 'SIGNED_OUT');
  assert.deepEqual(p.ask().sync, {});
  await p.machine.advance(1);
  assert.deepEqual(await out, { endSessionUrl: 'https://auth.example.com/v1/logout/start?l=x' });
  assert.deepEqual(p.requests('/v1/logout'), [{ client_id: 'web-1', scope: 'global' }]);
  assert.equal(p.tab.requests.at(-1).init.keepalive, true);
  assert.deepEqual(p.calls.map(c => c[0]), ['setCustomer', 'unloadAndClearSession', 'load']);
  assert.deepEqual(p.of('logout').map(e => e.reason), ['logged_out']);
  await p.machine.advance(3600);
  assert.equal(contexts(p).length, 1, 'and nothing is renewed');
});

test('row 29: the sign-out at the issuer leads back to the page that is registered for it', async () => {
  const p = await ready({ cfg: { returnTo: 'https://www.example.com/return' } });
  p.chat.logout({ scope: 'global' });
  await p.machine.advance(1);
  assert.deepEqual(p.requests('/v1/logout'), [{ client_id: 'web-1', scope: 'global', return_to: 'https://www.example.com/return' }]);
});

test('row 29: an answer that was under way when the person signed out is void', async () => {
  const p = await ready();
  p.machine.sleep(400);
  p.ask();
  assert.equal(p.chat.state, 'RENEWING');
  p.chat.logout();
  await p.machine.advance(1);
  assert.equal(p.chat.state, 'SIGNED_OUT');
  assert.deepEqual(p.ask().sync, {});
});

test('row 29: a sign-out that could not be confirmed is tried again, then told', async () => {
  const p = await ready({ serve: { special: { '/v1/logout': () => new TypeError('no network') } } });
  const out = p.chat.logout();
  await p.machine.advance(60);
  assert.deepEqual(await out, { endSessionUrl: null });
  assert.equal(p.requests('/v1/logout').length, 4);
  assert.deepEqual(p.of('error').map(e => e.error), ['logout_unconfirmed']);
  const q = await ready({ serve: { special: { '/v1/logout': [down()] } } });
  q.chat.logout();
  await q.machine.advance(60);
  assert.equal(q.requests('/v1/logout').length, 2);
  assert.deepEqual(q.of('error'), []);
  const r = await ready({ serve: { special: { '/v1/logout': () => refusal(403, 'CP-105', 'no') } } });
  r.chat.logout();
  await r.machine.advance(60);
  assert.equal(r.requests('/v1/logout').length, 1, 'a refusal is not tried again');
});

test('row 29: the tries of a sign-out are spread over seconds, and keep to Retry-After', async () => {
  const times = [];
  const p = await ready({ seed: 3 });
  p.service.special['/v1/logout'] = () => {
    times.push(p.machine.time / 1000);
    return refusal(503, 'CP-901', 'later', { retry_after: 3 });
  };
  p.chat.logout();
  await p.machine.advance(60);
  times.slice(1).forEach((t, n) => assert.ok(t - times[n] >= 3 && t - times[n] <= 3.1 + 2 ** n, `pause ${n}: ${t - times[n]}`));
  assert.ok(times[3] - times[0] > 10, 'with jitter');
});

test('row 30: the page is told once that the session ends within 5 minutes', async () => {
  const p = await ready({ serve: { sessionEnds: 1000 } });
  p.service.special['/v1/context'] = body => {
    p.service.sessionEnds = 1000 - p.machine.awake / 1000;
    return body.expected_customer && p.service.sessionEnds < 90 ? refusal(401, 'CP-411', 'login') : undefined;
  };
  await p.machine.advance(698);
  assert.deepEqual(p.of('expiring'), []);
  await p.machine.advance(17);
  const [{ expiresIn }] = p.of('expiring');
  assert.ok(expiresIn <= 300 && expiresIn >= 285, `${expiresIn}`);
  assert.equal(p.chat.state, 'READY');
  await p.machine.advance(200);
  assert.equal(p.of('expiring').length, 1);
  assert.ok(contexts(p).length <= 6, 'no extra requests');
});

test('row 32: a refusal for good is logged once and not tried again', async () => {
  for (const [status, code] of [[400, 'CP-102'], [403, 'CP-105'], [403, 'CP-111'], [401, 'CP-106'], [403, 'CP-302'], [400, 'CP-303']]) {
    const p = await ready({ serve: { special: { '/v1/context': () => refusal(status, code, 'no') } } });
    await p.machine.advance(3600);
    p.ask();
    p.tab.hide();
    p.tab.show();
    assert.equal(p.chat.state, 'FATAL');
    assert.equal(contexts(p).length, 1);
    assert.equal(p.tab.errors.length, 1);
    assert.deepEqual([p.tab.errors[0][1].code, p.tab.errors[0][1].requestId], [code, 'req-1']);
    assert.deepEqual(p.of('error'), [{ name: 'error', error: 'e', code, reason: 'r', description: 'd', requestId: 'req-1' }]);
    assert.equal(await p.chat.ready, null);
  }
});

test('an answer that was overtaken by a sleep is not handed out: it is asked for again', async () => {
  for (const slept of [650, 560]) {
    const p = await ready();
    p.machine.sleep(600);
    const asked = p.ask();
    await flush();
    p.machine.sleep(slept); // while the answer is under way
    await p.machine.advance(1);
    assert.ok(p.service.ends.get(asked.all[0].Auth.Token) - p.machine.time > 590_000);
    assert.equal(p.chat.state, 'READY');
  }
});

test('contexts of a few seconds, as in tests, are kept fresh too', async () => {
  const p = await ready({ serve: { life: 5, renewIn: 3, floor: 1 } });
  for (let i = 0; i < 240; i++) {
    const asked = p.ask();
    await p.machine.advance(0.25);
    assert.ok(p.service.ends.get(asked.all[0].Auth.Token) > p.machine.time - 250);
  }
  assert.equal(p.chat.state, 'READY');
});

test('the service answers inactive although a context is in hand: it is dropped', async () => {
  const p = await ready();
  p.service.special['/v1/context'] = () => ({ body: { active: false, reason: 'no_session' } });
  await p.machine.advance(361);
  assert.equal(p.chat.state, 'ANON');
  assert.deepEqual(p.ask().sync, {});
});

test('at most 6 requests a minute, whatever happens', async () => {
  const p = await ready({ serve: { special: {} } });
  p.service.special['/v1/context'] = down;
  p.machine.sleep(700);
  for (let i = 0; i < 295; i++) {
    p.tab.hide();
    p.tab.show();
    p.ask();
    await p.machine.advance(0.2);
  }
  assert.ok(contexts(p).length <= 7, `${contexts(p).length} requests in the first minute`);
});

test('before there was any context the budget is counted by the minute too', async () => {
  const machine = new Machine(4);
  const p = page(Object.assign(new Service(machine), { special: { '/v1/context': down } }));
  let inAMinute = 0;
  const times = [];
  p.service.special['/v1/context'] = () => {
    times.push(machine.time);
    inAMinute = Math.max(inAMinute, times.filter(t => t > machine.time - 60_000).length);
    return down();
  };
  for (let i = 0; i < 170; i++) {
    p.ask();
    await machine.advance(1);
  }
  assert.ok(inAMinute <= 6, `${inAMinute} in a minute`);
  assert.ok(times.length > 6, `${times.length} in 170 s: it goes on after the first minute`);
});

test('listeners: one that throws hinders neither the SDK nor the others; a stopped one is not called', async () => {
  const p = await anonymous({ attach: false });
  const got = [];
  p.chat.on('state', () => { throw new Error('page'); });
  const stop = p.chat.on('state', () => got.push('stopped'));
  p.chat.on('state', e => got.push(e.state));
  stop();
  p.chat.attach(() => {});
  await p.machine.advance(1);
  assert.deepEqual(got, ['CHECKING', 'ANON']);
  assert.equal(p.tab.uncaught.length, 2);
  assert.equal(p.chat.state, 'ANON');
});

test('a wrong configuration is refused at once', () => {
  const create = cfg => page(new Service(new Machine()), { attach: false, cfg });
  assert.throws(() => create({ clientId: '' }), /clientId/);
  assert.throws(() => create({ authHost: '' }), /authHost/);
  assert.throws(() => create({ authHost: 'https://' }), /Invalid URL/);
  assert.throws(() => page(new Service(new Machine()), { before: tab => { tab.env.crypto = {}; } }), /https/);
});

test('the service may live on a path of the page\'s own origin', async () => {
  const p = await anonymous({ cfg: { authHost: '/chat-auth/' } });
  assert.equal(p.tab.requests[0].url, 'https://www.example.com/chat-auth/v1/context');
});
