// Each test is one line of the behaviour that the stand-in keeps to: 15 lines, from the vendor's documents,
// its published iOS source and, where both are silent, our own reading.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { takeOver } from '../web/standin/stub.mjs';
import { loaded, newProvider, newStorage, newWorld, settle, SETTINGS } from './world.mjs';

const ada = provider => ({ CustomerId: 'ada', ContextProvider: provider });

test('line 1: the stub queues calls, and the script drains them in order', () => {
  const done = [];
  const widget = {
    call(command, ...args) {
      done.push([command, ...args]);
      if (command === 'load') scope.ASAPP('from load'); // a call made while draining waits its turn
    },
  };
  const stub = (...args) => stub._.push(args);
  Object.assign(stub, { _: [], Host: 'https://sdk.example' });
  const scope = { ASAPP: stub };
  scope.ASAPP('load', SETTINGS);
  scope.ASAPP('setCustomer', { CustomerId: 'ada' });
  assert.deepEqual(done, []);
  takeOver(scope, 'ASAPP', widget);
  assert.deepEqual(done, [['load', SETTINGS], ['setCustomer', { CustomerId: 'ada' }], ['from load']]);
  assert.notEqual(scope.ASAPP, stub);
  assert.equal(scope.ASAPP('show'), undefined);
  stub('hide'); // kept by somebody from before
  assert.deepEqual(done.slice(3), [['show'], ['hide']]);
  assert.equal(scope.ASAPP.Host, 'https://sdk.example');
});

test('line 2: load needs APIHostname and AppId, asks the API host, and shows what the triggers allow', async t => {
  for (const [missing, settings] of [['APIHostname', { AppId: 'app' }], ['AppId', { APIHostname: 'api.example' }]]) {
    await t.test(`without ${missing}: an error, no exception, nothing asked`, async () => {
      const world = newWorld();
      await world.call('load', settings);
      assert.match(world.errors[0], /APIHostname and AppId are required/);
      assert.deepEqual([world.requests, world.did], [[], []]);
    });
  }
  await t.test('not shown here: onLoadComplete(false) and nothing else', async () => {
    const told = [];
    const world = await loaded({ answers: { load: { show: false } } }, { onLoadComplete: shown => told.push(shown) });
    assert.deepEqual([told, world.did, world.hosts], [[false], [], ['api.example']]);
  });
  await t.test('shown: badge and frame, then onLoadComplete(true)', async () => {
    const world = newWorld();
    await world.call('load', { ...SETTINGS, onLoadComplete: shown => world.did.push(`told ${shown}`) });
    assert.deepEqual(world.did, ['mount', 'told true']);
    assert.deepEqual(world.requests, [['load', { appId: 'app' }]]);
  });
  await t.test('the API host does not answer: as if not shown', async () => {
    const told = [];
    const world = await loaded({ answers: { load: () => Promise.reject(new Error('down')) } }, { onLoadComplete: shown => told.push(shown) });
    assert.deepEqual([told, world.did, world.errors.length], [[false], [], 1]);
  });
  await t.test('APIHostName, as the settings page prints it, is understood', async () => {
    const world = newWorld();
    await world.call('load', { APIHostName: 'api.example', AppId: 'app' });
    assert.deepEqual([world.hosts, world.warnings.length], [['api.example'], 1]);
  });
});

test('line 3: a CustomerId needs a ContextProvider; with neither the chat is anonymous', async () => {
  const wrong = await loaded({}, { CustomerId: 'ada' });
  assert.match(wrong.errors[0], /CustomerId needs a ContextProvider/);
  assert.deepEqual([wrong.requests, wrong.did], [[], []]);
  const anonymous = await loaded();
  assert.equal(anonymous.state().hasCustomerId, false);
  await anonymous.say('hello');
  assert.deepEqual(anonymous.sent('message'), [{ text: 'hello', session: '', customerId: undefined, context: {} }]);
});

test('line 4: the provider is asked once for each request, and for each burst of typing', async () => {
  const provider = newProvider();
  const world = await loaded({}, ada(provider));
  assert.deepEqual(provider.calls, [false]); // authenticate
  await world.call('show');
  assert.deepEqual(provider.calls, [false, false]);
  for (let key = 0; key < 5; key++) {
    world.widget.typed();
    await world.timers.advance(300);
  }
  assert.equal(provider.calls.length, 3); // one burst
  await world.timers.advance(5000);
  world.widget.typed();
  await settle();
  assert.equal(provider.calls.length, 4); // the next one
  await world.say('hello');
  assert.equal(provider.calls.length, 5);
  assert.equal(world.widget.providerCalls, 5);
  assert.ok(provider.calls.every(needsRefresh => needsRefresh === false));
  assert.deepEqual(world.sent('message')[0].context, { Auth: { Token: 't-5' } });
});

test('line 5: an expired context is asked for anew and sent once more, then with patience', async t => {
  const expired = { error: 'token_expired' };
  await t.test('the new one is accepted', async () => {
    const provider = newProvider();
    const replies = [expired, { append: [{ from: 'bot', text: '12 euros' }] }];
    const world = await loaded({ answers: { message: () => replies.shift() } }, ada(provider));
    await world.say('balance');
    assert.deepEqual(provider.calls, [false, false, true]);
    const [first, second] = world.sent('message');
    assert.deepEqual([first.context.Auth.Token, second.context.Auth.Token], ['t-2', 't-3']);
    assert.deepEqual([first.resume, second.resume], [undefined, true]); // said once, sent twice
    assert.deepEqual(world.model.messages.map(m => m.text), ['balance', '12 euros']);
    assert.equal(world.model.signIn, false);
  });
  await t.test('still refused: 5 retries, 3 s × n apart, then Sign In', async () => {
    const provider = newProvider();
    const world = await loaded({ answers: { message: expired } }, ada(provider));
    await world.say('balance');
    for (let retry = 1; retry <= 5; retry++) {
      assert.equal(world.sent('message').length, 1 + retry);
      assert.match(world.model.notice, /Trying again/);
      await world.timers.advance(3000 * retry - 1);
      assert.equal(world.sent('message').length, 1 + retry);
      assert.equal(world.model.signIn, false);
      await world.timers.advance(1);
    }
    assert.equal(world.sent('message').length, 7);
    assert.deepEqual(provider.calls.slice(1), [false, true, true, true, true, true, true]);
    assert.equal(world.model.signIn, true);
    await world.timers.advance(60_000);
    assert.equal(world.sent('message').length, 7);
  });
  await t.test('still refused in test mode: Sign In at once', async () => {
    const provider = newProvider();
    const world = await loaded({ answers: { message: expired }, testMode: true }, ada(provider));
    await world.say('balance');
    assert.deepEqual(provider.calls, [false, false, true]);
    assert.equal(world.model.signIn, true);
  });
});

test('line 6: an invalid context is not retried; the Sign In button shows', async () => {
  const provider = newProvider();
  const world = await loaded({ answers: { message: { error: 'invalid_auth' } } }, ada(provider));
  await world.say('balance');
  await world.timers.advance(60_000);
  assert.equal(world.sent('message').length, 1);
  assert.ok(!provider.calls.includes(true));
  assert.equal(world.model.signIn, true);
});

test('line 7: an anonymous person who needs to be known sees Sign In', async () => {
  const world = await loaded({ answers: { message: { signIn: true, pending: true } } });
  await world.say('balance');
  assert.equal(world.model.signIn, true);
  assert.equal(world.state().isLoggingIn, false);
});

test('line 8: Sign In sets isLoggingIn and calls UserLoginHandler with one object, on the click alone', async t => {
  await t.test('with a handler', async () => {
    const calls = [];
    const world = await loaded({ answers: { message: { signIn: true } } }, { UserLoginHandler: (...args) => calls.push([args, world.state().isLoggingIn]) });
    await world.call('set', 'CompanySubdivision', 'north');
    await world.say('balance');
    assert.deepEqual(calls, []);
    world.widget.signInClicked();
    const [[args, loggingIn]] = calls;
    assert.equal(args.length, 1);
    assert.equal(args[0].CompanySubdivision, 'north');
    assert.equal(loggingIn, true);
  });
  await t.test('without one the button does nothing', async () => {
    const world = await loaded({ answers: { message: { signIn: true } } });
    await world.say('balance');
    world.widget.signInClicked();
    assert.deepEqual([world.state().isLoggingIn, world.state().hasCustomerId, world.errors], [false, false, []]);
  });
  await t.test('one that throws breaks nothing', async () => {
    const world = await loaded({}, { UserLoginHandler: () => { throw new Error('no'); } });
    world.widget.signInClicked();
    assert.equal(world.errors.length, 1);
  });
});

test('line 9: setCustomer takes over the conversation and goes on with what waited', async t => {
  await t.test('anonymous to known', async () => {
    const history = [{ from: 'customer', text: 'balance' }, { from: 'bot', text: 'please sign in' }];
    const world = await loaded({
      answers: {
        message: ({ resume }) => (resume ? { append: [{ from: 'bot', text: '12 euros' }] } : { signIn: true, pending: true }),
        authenticate: { history, pending: true },
      },
    }, { UserLoginHandler: () => {} });
    await world.say('balance');
    world.widget.signInClicked();
    const provider = newProvider();
    await world.call('setCustomer', ada(provider));
    const [authenticate] = world.sent('authenticate');
    assert.deepEqual([authenticate.session, authenticate.customerId, authenticate.context.Auth.Token], ['s-1', 'ada', 't-1']);
    const [, resumed] = world.sent('message');
    assert.deepEqual([resumed.resume, resumed.text, resumed.context.Auth.Token], [true, undefined, 't-2']);
    assert.deepEqual(provider.calls, [false, false]);
    assert.deepEqual(world.model.messages.map(m => m.text), ['balance', 'please sign in', '12 euros']);
    assert.deepEqual([world.state().hasCustomerId, world.state().isLoggingIn, world.model.signIn], [true, false, false]);
  });
  await t.test('it replaces the provider, also of a request under way', async () => {
    let late;
    const old = callback => (late = callback);
    const world = await loaded({}, {});
    await world.call('setCustomer', { CustomerId: 'ada', ContextProvider: old });
    const provider = newProvider();
    await world.call('setCustomer', { CustomerId: 'ben', ContextProvider: provider });
    late({ Auth: { Token: 'adas' } });
    await settle();
    assert.ok(world.sent('authenticate').every(r => r.customerId === 'ben' && r.context.Auth.Token !== 'adas'));
    assert.ok(provider.calls.length > 0);
  });
  await t.test('with nothing waiting, nothing is sent', async () => {
    const world = await loaded({ answers: { authenticate: { history: [], pending: false } } });
    await world.call('setCustomer', ada(newProvider()));
    assert.deepEqual([world.sent('authenticate').length, world.sent('message')], [1, []]);
  });
  await t.test('without Auth the person stays unknown to the vendor', async () => {
    const world = await loaded({ answers: { authenticate: { signIn: true, pending: true } } });
    await world.call('setCustomer', { CustomerId: 'ada', ContextProvider: callback => callback({}) });
    assert.deepEqual([world.sent('message'), world.model.signIn, world.state().isLoggingIn], [[], true, false]);
  });
  await t.test('CustomerId and ContextProvider are required', async () => {
    const world = await loaded({}, ada(newProvider()));
    for (const settings of [{}, { CustomerId: '', ContextProvider() {} }, { CustomerId: null, ContextProvider() {} }, { CustomerId: 'ben' }]) {
      await world.call('setCustomer', settings);
    }
    assert.equal(world.errors.length, 4);
    assert.equal(world.sent('authenticate').length, 1);
    await world.say('hello');
    assert.equal(world.sent('message')[0].customerId, 'ada');
  });
  await t.test('SetCustomer, as one sample writes it, is understood', async () => {
    const world = await loaded();
    await world.call('SetCustomer', ada(newProvider()));
    assert.deepEqual([world.state().hasCustomerId, world.warnings.length], [true, 1]);
  });
});

test('line 10: after a redirect sign-in the frame opens again with the history of the customer', async () => {
  const shared = newStorage();
  const tab = newStorage();
  const before = await loaded({ shared, tab });
  await before.call('show');
  const history = [{ from: 'customer', text: 'from last week' }];
  const after = newWorld({ shared, tab, answers: { authenticate: { history } } });
  assert.equal(after.state().isOpen, true); // open on the previous page
  await after.call('load', { ...SETTINGS, ...ada(newProvider()) });
  assert.equal(after.model.isOpen, true);
  assert.deepEqual(after.model.messages, history);
  assert.equal(after.sent('authenticate')[0].session, 's-1');
});

test('line 11: a provider that answers twice, late or never', async t => {
  await t.test('twice: the first answer counts', async () => {
    const world = await loaded();
    world.widget.call('setCustomer', {
      CustomerId: 'ada',
      ContextProvider: callback => ['first', 'second'].forEach(Token => callback({ Auth: { Token } })),
    });
    await settle();
    assert.equal(world.sent('authenticate').length, 1);
    assert.equal(world.sent('authenticate')[0].context.Auth.Token, 'first');
    assert.match(world.warnings[0], /again or too late/);
  });
  await t.test('once: the silence that follows is none', async () => {
    const world = await loaded({}, ada(newProvider()));
    await world.timers.advance(60_000);
    assert.deepEqual([world.errors, world.sent('authenticate').length], [[], 1]);
  });
  await t.test('never: 10 s of silence are an answer without Auth, and reported', async () => {
    let late;
    const world = await loaded({ answers: { authenticate: ({ context }) => ({ signIn: !context.Auth }) } });
    await world.call('setCustomer', { CustomerId: 'ada', ContextProvider: callback => (late = callback) });
    await world.timers.advance(9_999);
    assert.equal(world.sent('authenticate').length, 0);
    await world.timers.advance(1);
    assert.match(world.errors[0], /did not call back within 10 s/);
    assert.equal(world.sent('authenticate')[0].context.Auth, undefined);
    assert.equal(world.model.signIn, true);
    late({ Auth: { Token: 'late' } });
    await settle();
    assert.equal(world.sent('authenticate').length, 1);
    assert.match(world.warnings[0], /too late/);
  });
  await t.test('it throws, or answers no object: without Auth, and reported', async () => {
    const world = await loaded();
    await world.call('setCustomer', { CustomerId: 'ada', ContextProvider: () => { throw new Error('no'); } });
    await world.call('setCustomer', { CustomerId: 'ada', ContextProvider: callback => callback(null) });
    assert.deepEqual(world.sent('authenticate').map(r => r.context), [{}, {}]);
    assert.equal(world.errors.length, 1);
  });
});

test("line 12: set('Auth', …) asks nothing and is used by the next request unless the provider says otherwise", async () => {
  const world = await loaded();
  const asked = world.requests.length;
  await world.call('set', 'Auth', { Token: 'set' });
  assert.equal(world.requests.length, asked);
  assert.deepEqual(world.state().hasContext, { Auth: { Token: 'set' } });
  await world.say('hello');
  assert.equal(world.sent('message')[0].context.Auth.Token, 'set');
  await world.call('setCustomer', ada(newProvider()));
  assert.equal(world.sent('authenticate')[0].context.Auth.Token, 't-1');
  await world.call('setCustomer', { CustomerId: 'ada', ContextProvider: callback => callback({ Segments: ['a'] }) });
  assert.deepEqual(world.sent('authenticate')[1].context, { Auth: { Token: 'set' }, Segments: ['a'] });
});

test('line 13: unload waits until nobody chats; unloadAndClearSession does not', async t => {
  await t.test('unload while open or live is ignored', async () => {
    const world = await loaded({ answers: { message: { live: true } } });
    await world.call('show');
    await world.call('unload');
    assert.deepEqual(world.did, ['mount']);
    await world.say('a person, please');
    await world.call('hide');
    await world.call('unload');
    assert.deepEqual(world.did, ['mount']);
    world.answers.message = { live: false };
    await world.say('bye');
    await world.call('unload');
    assert.deepEqual(world.did, ['mount', 'unmount']);
    assert.notEqual(world.shared.size, 0); // the session is kept
  });
  await t.test('unloadAndClearSession forgets everything, and an answer under way is dropped', async () => {
    let late;
    const world = await loaded({}, {});
    await world.call('show');
    await world.say('hello');
    await world.call('setCustomer', { CustomerId: 'ada', ContextProvider: callback => (late = callback) });
    await world.call('unloadAndClearSession');
    assert.deepEqual(world.did, ['mount', 'unmount']);
    assert.deepEqual([world.shared.size, world.tab.size], [0, 0]);
    assert.deepEqual(world.sent('clear'), [{ session: 's-1' }]);
    late({ Auth: { Token: 'late' } });
    await settle();
    assert.equal(world.sent('authenticate').length, 0);
    const { hasCustomerId, isOpen, hasContext } = world.state();
    assert.deepEqual({ hasCustomerId, isOpen, hasContext }, { hasCustomerId: false, isOpen: false, hasContext: {} });
    await world.call('load', SETTINGS);
    assert.deepEqual(world.model.messages, []);
    await world.say('hello');
    assert.deepEqual([world.sent('message')[1].session, world.sent('message')[1].customerId], ['', undefined]);
  });
  await t.test('an answer of the server under way is dropped too', async () => {
    let answer;
    const world = await loaded({ answers: { message: () => new Promise(resolve => (answer = resolve)) } });
    await world.say('hello');
    await world.call('unloadAndClearSession');
    answer({ session: 's-old', append: [{ from: 'bot', text: 'late' }] });
    await settle();
    assert.deepEqual([world.shared.size, world.widget.messages], [0, []]);
  });
});

test('line 14: tabs ask their own providers and share the vendor session', async () => {
  const shared = newStorage();
  const [one, two] = [newProvider(), newProvider()];
  const first = await loaded({ shared, answers: { authenticate: { session: 's-shared' } } }, ada(one));
  const second = await loaded({ shared, answers: { authenticate: r => ({ session: r.session }) } }, ada(two));
  assert.equal(second.sent('authenticate')[0].session, 's-shared');
  assert.deepEqual([one.calls.length, two.calls.length], [1, 1]);
  await second.say('hello');
  assert.deepEqual([one.calls.length, two.calls.length], [1, 2]);
  await first.call('unloadAndClearSession');
  await second.say('hello again');
  assert.equal(second.sent('message')[1].session, '');
});

test('line 15: without storage the chat works for as long as the page lives', async () => {
  const broken = {
    getItem() { throw new Error('blocked'); },
    setItem() { throw new Error('blocked'); },
    removeItem() { throw new Error('blocked'); },
  };
  for (const storage of [broken, null]) {
    const world = await loaded({ shared: storage, tab: storage });
    await world.call('show');
    await world.say('hello');
    await world.say('again');
    assert.deepEqual(world.sent('message').map(r => r.session), ['s-1', 's-1']);
    assert.deepEqual(world.errors, []);
    await world.call('unloadAndClearSession');
    assert.deepEqual(world.did, ['mount', 'unmount']);
  }
});
