// The ASAPP widget: which calls it gets, and which it does not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine, Service, page, ready } from './service.mjs';

const names = calls => calls.map(c => c[0]);

test('attach after the session was found tells the widget at once', async () => {
  const p = await ready({ attach: false });
  p.chat.onToken(() => {});
  await p.machine.advance(1);
  p.chat.attach(p.asapp, {});
  assert.deepEqual(p.calls, [['setCustomer', { CustomerId: 'c-1', ContextProvider: p.chat.contextProvider, UserLoginHandler: p.chat.userLoginHandler }]]);
});

test('a page that loads the widget with its customer is not told again', async () => {
  const p = await ready({ settings: { APIHostname: 'h', AppId: 'a', CustomerId: 'c-1' } });
  assert.deepEqual(p.calls, []);
  const q = await ready({ settings: { APIHostname: 'h', AppId: 'a', CustomerId: 'c-0' } });
  assert.deepEqual(names(q.calls), ['setCustomer'], 'but of another customer');
});

test('after a sign-out the anonymous chat is loaded with the page\'s settings, without a person', async () => {
  const onLoadComplete = () => {};
  const p = await ready({ settings: { APIHostname: 'h', AppId: 'a', onLoadComplete, CustomerId: 'c-1', ContextProvider: () => {} } });
  p.chat.logout();
  assert.deepEqual(p.calls, [
    ['unloadAndClearSession'],
    ['load', { APIHostname: 'h', AppId: 'a', onLoadComplete, UserLoginHandler: p.chat.userLoginHandler }],
  ]);
});

test('without settings the page loads the widget itself', async () => {
  const p = await ready({ settings: null });
  p.chat.logout();
  p.chat.logout();
  assert.deepEqual(names(p.calls), ['setCustomer', 'unloadAndClearSession'], 'once');
  assert.deepEqual(p.tab.errors, []);
});

test('an anonymous chat is not thrown away by a sign-out', async () => {
  const machine = new Machine();
  const p = page(new Service(machine));
  await machine.advance(1);
  p.chat.logout();
  assert.deepEqual(p.calls, []);
  assert.equal(p.chat.state, 'SIGNED_OUT');
});

test('the vendor\'s stub is replaced by its script: the new function is called', async () => {
  const machine = new Machine();
  const service = Object.assign(new Service(machine), { customer: 'c-1' });
  const p = page(service, { attach: false });
  const [stub, real] = [[], []];
  p.tab.env.ASAPP = (...args) => stub.push(args);
  p.chat.attach(p.tab.env.ASAPP, {});
  p.tab.env.ASAPP = (...args) => real.push(args);
  await machine.advance(1);
  assert.deepEqual([names(stub), names(real)], [[], ['setCustomer']]);
});

test('a widget that throws does not stop the SDK', async () => {
  const machine = new Machine();
  const service = Object.assign(new Service(machine), { customer: 'c-1' });
  const p = page(service, { attach: false });
  p.chat.attach(() => { throw new Error('vendor'); }, {});
  await machine.advance(1);
  assert.equal(p.chat.state, 'READY');
  assert.equal(p.tab.errors.length, 1);
});

test('a widget that asks for a context within setCustomer gets it', async () => {
  const machine = new Machine();
  const service = Object.assign(new Service(machine), { customer: 'c-1' });
  const p = page(service, { attach: false });
  const got = [];
  p.chat.attach((command, { ContextProvider }) => ContextProvider(c => got.push(c), false));
  await machine.advance(1);
  assert.equal(got.length, 1);
  assert.ok(got[0].Auth);
});

test('handlers may be called without their object, as the vendor does', async () => {
  const p = await ready();
  const { contextProvider, userLoginHandler, getToken, login } = p.chat;
  contextProvider(c => assert.ok(c.Auth), false);
  assert.ok(await getToken());
  userLoginHandler();
  assert.equal(login(), 'LOGIN_PENDING');
  assert.equal(p.tab.opened.length, 1);
});
