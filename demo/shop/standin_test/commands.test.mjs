// What the vendor's reference says of commands and events beyond the 15 lines.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { loaded, newProvider, newWorld, SETTINGS } from './world.mjs';

/** Writes down the events of a widget. */
function listen(world) {
  const heard = [];
  for (const type of ['chat:show', 'chat:hide', 'issue:new', 'issue:end', 'agent:assigned', 'message:received']) {
    world.widget.call('on', type, e => heard.push([e.type, e.detail]));
  }
  return heard;
}

test('an unknown command is an error in the console and nothing else', async () => {
  const world = newWorld();
  for (const command of ['constructor', 'take', 'logout', undefined]) await world.call(command);
  assert.equal(world.errors.length, 4);
  assert.deepEqual(world.requests, []);
});

test('no command ever throws or returns', async () => {
  const world = await loaded();
  assert.equal(world.widget.call('getState'), undefined); // no callback
  assert.equal(world.widget.call('show'), undefined);
  assert.equal(world.errors.length, 1);
});

test('commands that the stand-in has no use for say so', async () => {
  const world = await loaded();
  for (const command of ['send', 'setIntent', 'showChatInstead']) await world.call(command, {});
  assert.equal(world.warnings.length, 3);
});

test('a second load changes nothing', async () => {
  const world = await loaded();
  await world.call('load', { ...SETTINGS, APIHostname: 'other.example' });
  assert.deepEqual([world.hosts, world.warnings.length], [['api.example'], 1]);
});

test('refresh looks at the triggers again and leaves credentials alone', async () => {
  const provider = newProvider();
  const world = await loaded({ answers: { load: { show: false } } }, { CustomerId: 'ada', ContextProvider: provider });
  assert.deepEqual([world.did, provider.calls], [[], []]);
  world.answers.load = { show: true };
  await world.call('refresh');
  assert.deepEqual(world.did, ['mount']);
  await world.call('refresh');
  assert.deepEqual([world.did, provider.calls], [['mount'], [false]]);
});

test('setCustomer before the API host has answered is not lost', async () => {
  const provider = newProvider();
  const world = newWorld();
  world.widget.call('load', SETTINGS);
  await world.call('setCustomer', { CustomerId: 'ada', ContextProvider: provider });
  assert.deepEqual([world.sent('authenticate').length, provider.calls], [1, [false]]);
});

test('events carry the ids of issue and customer', async () => {
  const world = await loaded({
    answers: {
      open: { issueId: 7, customerNumber: 3, history: [{ from: 'bot', text: 'hello' }] },
      message: { issueId: 7, customerNumber: 3, settled: true, append: [{ from: 'bot', text: 'soon' }] },
    },
  });
  const heard = listen(world);
  await world.call('show');
  await world.say('my order?');
  const detail = { issueId: 7, customerId: 3, externalSenderId: undefined };
  assert.deepEqual(heard, [
    ['chat:show', { issueId: undefined, customerId: undefined, externalSenderId: undefined }],
    ['issue:new', detail],
    ['message:received', { ...detail, senderType: 'srs', isLiveChat: false, isFirstMessage: false }],
    ['issue:end', detail],
  ]);
});

test('an agent is announced once, and messages say who sent them', async () => {
  const world = await loaded({ answers: { message: { live: true, append: [{ from: 'agent', text: 'hi' }] } } });
  const heard = listen(world);
  await world.say('a person');
  await world.say('hello?');
  assert.deepEqual(heard.map(([type, d]) => d.senderType ?? type), ['agent:assigned', 'agent', 'agent']);
  assert.ok(heard.slice(1).every(([, d]) => d.isLiveChat));
  assert.equal(world.state().isLiveChat, true);
});

test('chat:show and chat:hide can be prevented', async () => {
  const world = await loaded();
  const prevent = e => e.preventDefault();
  await world.call('on', 'chat:show', prevent);
  await world.call('show');
  assert.equal(world.state().isOpen, false);
  await world.call('off', 'chat:show', prevent);
  await world.call('show');
  await world.call('on', 'chat:hide', prevent);
  await world.call('hide');
  assert.equal(world.state().isOpen, true);
});

test('messages that nobody has seen are counted', async () => {
  const world = await loaded({ answers: { message: { append: [{ from: 'bot', text: 'a' }, { from: 'bot', text: 'b' }] } } });
  await world.say('hello');
  assert.equal(world.state().unreadMessages, 2);
  await world.call('show');
  assert.equal(world.state().unreadMessages, 0);
});

test('a server that does not answer is told to the person, and signs nobody out', async () => {
  const world = await loaded({ answers: { message: () => Promise.reject(new Error('down')) } }, { CustomerId: 'ada', ContextProvider: newProvider() });
  await world.say('hello');
  assert.match(world.model.notice, /did not answer/);
  assert.deepEqual([world.model.signIn, world.model.busy, world.state().hasCustomerId], [false, false, true]);
});

test('a question asked while the conversation opens is not lost', async () => {
  let open;
  const world = await loaded({ answers: { open: () => new Promise(resolve => (open = resolve)) } });
  await world.call('show');
  await world.say('hello');
  open({ history: [{ from: 'bot', text: 'welcome' }] });
  await world.say('again');
  assert.deepEqual(world.model.messages.map(m => m.text), ['hello', 'again']);
});
