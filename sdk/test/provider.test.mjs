// The contract of the ContextProvider, rule by rule.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine, Service, anonymous, flush, page, ready, refusal } from './service.mjs';

const jti = context => context?.Auth && JSON.parse(Buffer.from(context.Auth.Token.split('.')[1], 'base64url')).jti;

test('a context is given in the form ASAPP documents, with the further keys of the page', async () => {
  const { ask, machine } = await ready({ cfg: { context: { Segments: ['gold'] } } });
  const { Auth, Segments } = ask().sync;
  assert.deepEqual(Segments, ['gold']);
  assert.equal(jti({ Auth }), 'jti-1');
  assert.deepEqual(Auth.Scopes, ['chat:read', 'chat:write']);
  assert.equal(Auth.Body.token_scope, 'chat:read chat:write');
  assert.equal(Auth.Body.token_expiry, String(Math.floor(machine.time / 1000) + 599));
});

test('a context without scopes is given all the same, and none is ever read', async () => {
  const machine = new Machine();
  const service = new Service(machine);
  service.customer = 'c-1';
  service.special['/v1/context'] = () => {
    const grant = service.grant(200);
    Object.assign(grant.body.context, { token: 'opaque', scope: undefined });
    return grant;
  };
  const p = page(service);
  await machine.advance(1);
  assert.deepEqual(p.ask().sync, { Auth: { Token: 'opaque' } });
});

test('rule 1: signed out, mismatch and fatal answer at once and ask nothing', async () => {
  for (const [state, lead] of [
    ['SIGNED_OUT', async p => { p.chat.logout(); await p.machine.advance(1); }],
    ['MISMATCH', async p => { p.service.customer = 'c-2'; await p.machine.advance(400); }],
    ['FATAL', async p => { p.service.special['/v1/context'] = [refusal(403, 'CP-302', 'no')]; await p.machine.advance(400); }],
  ]) {
    const p = await ready();
    await lead(p);
    assert.equal(p.chat.state, state);
    const before = p.tab.requests.length;
    assert.deepEqual(p.ask().sync, {});
    assert.deepEqual(p.ask(true).sync, {});
    await flush();
    assert.equal(p.tab.requests.length, before);
  }
});

test('nobody signed in: answers at once, without Auth, without a request', async () => {
  const p = await anonymous({ cfg: { context: { CustomerInfo: { a: 'b' } } } });
  assert.deepEqual(p.ask().sync, { CustomerInfo: { a: 'b' } });
  assert.equal(p.tab.requests.length, 1);
});

test('rule 2: the very context that was given is refused: it is renewed, and the new one given', async () => {
  const p = await ready();
  assert.equal(jti(p.ask().sync), 'jti-1');
  const again = p.ask(true);
  assert.equal(again.sync, undefined);
  assert.equal(p.chat.state, 'STALE');
  await p.machine.advance(1);
  assert.deepEqual(again.all.map(jti), ['jti-2']);
  const { cause, rejected_jti } = p.requests('/v1/context').at(-1);
  assert.deepEqual({ cause, rejected_jti }, { cause: 'rejected', rejected_jti: 'jti-1' });
});

test('rule 2: a newer context than the refused one is in hand: it is given, without a request', async () => {
  const p = await ready();
  p.ask();
  await p.machine.advance(400); // renewed by timer meanwhile
  const before = p.tab.requests.length;
  assert.equal(jti(p.ask(true).sync), 'jti-2');
  assert.equal(p.tab.requests.length, before);
});

test('rule 2: a refusal while a renewal is under way waits for that one', async () => {
  const p = await ready();
  p.ask();
  p.machine.sleep(400);
  p.ask();
  assert.equal(p.chat.state, 'RENEWING');
  const again = p.ask(true);
  await p.machine.advance(1);
  assert.deepEqual(again.all.map(jti), ['jti-2']);
  assert.equal(p.requests('/v1/context').length, 2);
  p.ask(true);
  assert.equal(p.chat.state, 'STALE', 'and cost nothing of the budget of forced renewals');
});

test('rule 2: refused for ever: 3 renewals in the first minute, then one a minute, degraded, no sign-in', async () => {
  const p = await ready();
  p.ask();
  const counts = [];
  for (let minute = 0; minute < 5; minute++) {
    const before = p.requests('/v1/context').filter(r => r.cause === 'rejected').length;
    for (let i = 0; i < 30; i++) {
      const asked = p.ask(true);
      await p.machine.advance(2);
      assert.equal(asked.all.length, 1);
      assert.ok(asked.all[0].Auth, 'the current context is handed out over budget');
    }
    counts.push(p.requests('/v1/context').filter(r => r.cause === 'rejected').length - before);
    if (minute === 0) assert.ok(p.of('degraded').some(e => e.reason === 'rejected_loop'));
  }
  assert.deepEqual(counts, [3, 1, 1, 1, 1]);
  assert.equal(p.chat.state, 'READY');
});

test('rule 2: after two quiet minutes the budget is whole again', async () => {
  const p = await ready();
  p.ask();
  for (let i = 0; i < 10; i++) {
    p.ask(true);
    await p.machine.advance(10);
  }
  await p.machine.advance(125);
  const before = p.requests('/v1/context').filter(r => r.cause === 'rejected').length;
  for (let i = 0; i < 3; i++) {
    p.ask(true);
    await p.machine.advance(11);
  }
  assert.equal(p.requests('/v1/context').filter(r => r.cause === 'rejected').length - before, 3);
});

test('rule 3: a fresh context is given synchronously; past renewIn it is renewed behind it', async () => {
  const p = await ready();
  assert.equal(jti(p.ask().sync), 'jti-1');
  p.tab.hide();
  await p.machine.advance(400);
  assert.equal(p.requests('/v1/context').length, 1, 'a hidden tab does not renew by itself');
  assert.equal(jti(p.ask().sync), 'jti-1');
  assert.equal(p.chat.state, 'RENEWING');
  await p.machine.advance(1);
  assert.equal(jti(p.ask().sync), 'jti-2');
});

test('rule 3: F is the limit: one second above at once, one below renewed first', async () => {
  for (const [left, sync] of [[61, true], [59, false]]) {
    const p = await ready();
    p.tab.hide();
    p.machine.sleep(600 - left - 1);
    const asked = p.ask();
    assert.equal(asked.sync !== undefined, sync, `${left} s left`);
    await p.machine.advance(1);
    assert.equal(jti(asked.all[0]), sync ? 'jti-1' : 'jti-2');
  }
});

test('rule 4: waits for the one renewal under way, at most 8 s', async () => {
  const p = await ready();
  p.tab.hide();
  p.machine.sleep(650);
  p.service.special['/v1/context'] = () => null; // hangs
  const [a, b] = [p.ask(), p.ask()];
  await p.machine.advance(7.9);
  assert.deepEqual([a.all, b.all], [[], []]);
  assert.equal(p.requests('/v1/context').length, 2, 'single flight');
  await p.machine.advance(0.1);
  assert.deepEqual([a.all, b.all], [[{}], [{}]]);
  assert.deepEqual(p.of('degraded').map(e => e.reason), ['unreachable']);
});

test('rule 4: no waiting during an outage, retry in flight or not', async () => {
  const p = await ready();
  p.tab.hide();
  p.machine.sleep(650);
  p.service.special['/v1/context'] = () => null;
  p.ask();
  await p.machine.advance(8.1);
  assert.equal(p.chat.state, 'BACKOFF');
  await p.machine.advance(3);
  assert.deepEqual(p.ask().sync, {});
  assert.equal(p.chat.state, 'STALE', 'but it starts a try');
  assert.deepEqual(p.ask().sync, {});
  assert.equal(p.requests('/v1/context').length, 3);
});

test('rule 4: after an outage it waits again, and the next outage is told again', async () => {
  const p = await ready();
  const down = () => refusal(503, 'CP-901', 'later');
  p.tab.hide();
  for (let outage = 1; outage <= 2; outage++) {
    p.service.special['/v1/context'] = down;
    p.machine.sleep(700);
    p.ask();
    await p.machine.advance(5);
    assert.equal(p.of('degraded').length, outage);
    p.service.special = {};
    p.tab.show();
    await p.machine.advance(1);
    p.tab.hide();
    assert.equal(p.chat.state, 'READY');
    p.machine.sleep(700);
    const asked = p.ask();
    assert.equal(asked.sync, undefined);
    await p.machine.advance(1);
    assert.ok(asked.all[0].Auth);
  }
});

test('rule 4: before anything is known it waits for the first look', async () => {
  const machine = new Machine();
  const service = Object.assign(new Service(machine), { customer: 'c-1' });
  const p = page(service, { attach: false });
  p.tab.hide();
  const asked = p.ask();
  assert.equal(p.chat.state, 'CHECKING');
  await machine.advance(1);
  assert.deepEqual(asked.all.map(jti), ['jti-1']);
  assert.deepEqual(p.requests('/v1/context')[0], { client_id: 'web-1', activity: 'passive', cause: 'load' });
});

test('rule 5: the renewal fails, and what is left is still good: it is given', async () => {
  for (const [left, given] of [[7, true], [5, false]]) {
    const p = await ready();
    p.tab.hide();
    p.machine.sleep(599 - left);
    p.service.special['/v1/context'] = () => refusal(503, 'CP-901', 'later');
    const asked = p.ask();
    await p.machine.advance(0.5);
    assert.equal(!!asked.all[0].Auth, given, `${left} s left`);
    assert.equal(p.of('degraded').length, given ? 0 : 1);
  }
});

test('the callback is called once, and what it throws is caught', async () => {
  const p = await ready();
  let calls = 0;
  p.chat.contextProvider(() => { calls++; throw new Error('vendor'); }, false);
  assert.equal(calls, 1);
  assert.match(String(p.tab.errors[0][0]), /vendor/);
  p.machine.sleep(700);
  p.chat.contextProvider(() => { calls++; throw new Error('vendor'); }, false);
  await p.machine.advance(20);
  assert.equal(calls, 2);
});

test('getToken: null for nobody, the token of the context, and force renews it', async () => {
  assert.equal(await (await anonymous()).chat.getToken(), null);
  const p = await ready();
  const first = await p.chat.getToken();
  assert.equal(await p.chat.getToken(), first);
  const forced = p.chat.getToken({ force: true });
  await p.machine.advance(1);
  assert.notEqual(await forced, first);
});

test('onToken: pushes the current one, each new one, and null at the end', async () => {
  const p = await ready();
  const got = [];
  const stop = p.chat.onToken((token, info) => got.push({ token: !!token, ...info }));
  await flush();
  assert.deepEqual(got[0], { token: true, customerId: 'c-1', expiresIn: 599, renewIn: 359 });
  await p.machine.advance(365);
  assert.equal(got.length, 2);
  p.chat.logout();
  await flush();
  assert.deepEqual(got.at(-1), { token: false });
  stop();
  assert.equal(got.length, 3);
});

test('onToken: null as well when it is fatal or another person', async () => {
  for (const lead of [
    p => { p.service.special['/v1/context'] = [refusal(403, 'CP-302', 'no')]; },
    p => { p.service.customer = 'c-2'; },
  ]) {
    const p = await ready();
    const got = [];
    p.chat.onToken(token => got.push(token));
    lead(p);
    await p.machine.advance(365);
    assert.equal(got.at(-1), null);
  }
});

test('what the person does in the widget frame counts as activity: a provider call in a focused tab', async () => {
  for (const [focused, activity] of [[true, 'active'], [false, 'passive']]) {
    const p = await ready();
    p.tab.focused = focused;
    await p.machine.advance(358);
    p.ask();
    await p.machine.advance(5);
    assert.equal(p.requests('/v1/context')[1].activity, activity);
  }
});

test('after a long pause the first word is reported at once, and the next ones are not', async () => {
  const p = await ready();
  const idle = seconds => { p.service.special['/v1/context'] = () => {
    const answer = p.service.grant(200);
    answer.body.session.idle_expires_in = seconds;
    return answer;
  }; };
  idle(900);
  await p.machine.advance(365);
  const before = p.requests('/v1/context').length;
  p.ask();
  assert.equal(p.requests('/v1/context').length, before, 'nobody was there');
  idle(3600);
  p.tab.click();
  assert.ok(p.ask().sync.Auth);
  await p.machine.advance(1);
  assert.deepEqual(p.requests('/v1/context').slice(before).map(r => r.activity), ['active']);
  p.ask();
  assert.equal(p.requests('/v1/context').length, before + 1);
});

test('a refusal the vendor reports by itself is no activity', async () => {
  const p = await ready();
  p.ask();
  p.tab.focused = true;
  p.ask(true);
  assert.equal(p.requests('/v1/context')[1].activity, 'passive');
});
