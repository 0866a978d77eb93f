// The SDK's transition table, row by row, in a browser as people have it: one tab is seen, others are
// hidden, some frozen, and the back button finds pages as they were left.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { steps, until } from './chatpass.mjs';
import { everyday } from './chromium.mjs';
import { ask, company, enter, events, inState, popup, shows, signIn, signedIn, state, welcome } from './company.mjs';

// asked is what a page or a browser asks of the service, as it does: [path, body].
function asked(page, url) {
  const requests = [];
  page.on('request', (request) => request.method() !== 'OPTIONS' && request.url().startsWith(`${url}/v1/`) && requests.push([new URL(request.url()).pathname, request.postDataJSON()]));
  return requests;
}

const report = ({ page, service }) => async () => `page: ${await page.locator('body').innerText().catch(String)}\nservice: ${service.said}`;
const told = (page) => page.evaluate(() => window.told);
const visibility = (page) => page.evaluate(() => document.visibilityState);
const customer = (page) => page.evaluate(() => window.chat.ready.then((who) => who?.customerId));
// given is the jti of what the page gives its widget, and whether it came at once. The chat side may have refused the last.
const given = (page, refused = false) => page.evaluate((refused) => new Promise((resolve) => {
  let now = true;
  window.chat.contextProvider(({ Auth }) => resolve({ now, jti: Auth && JSON.parse(atob(Auth.Token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))).jti }), refused);
  now = false;
}), refused);
// later puts one of the page's clocks forward, as sleep does.
const later = (page, seconds) => page.evaluate((seconds) => {
  const now = performance.now.bind(performance);
  performance.now = () => now() + seconds * 1000;
}, seconds);

// hidden opens the shop in a tab behind another.
async function hidden(context, front, address) {
  const tab = await context.newPage();
  await front.bringToFront();
  await tab.goto(address);
  await until('the SDK is there', () => tab.evaluate(() => Boolean(window.chat)));
  assert.equal(await visibility(tab), 'hidden');
  return tab;
}

test('from the first look to the sign-out, in tabs that are seen and hidden', { timeout: 240_000 }, async (t) => {
  const start = everyday(t);
  const all = await company(t, { lifetime: '10m', open: start });
  const { page, context, shop, url, errors } = all;
  const step = steps(t, report(all));
  const everything = asked(context, url);
  let behind;

  await step('rows 1, 4: nobody is signed in: one request, no timer, no prompt, no error (G21)', async () => {
    await context.addInitScript(() => {
      const [set, clear] = [setTimeout, clearTimeout];
      window.timers = new Set();
      window.setInterval = () => window.timers.add('interval');
      window.clearTimeout = (id) => (window.timers.delete(id), clear(id));
      window.setTimeout = (fn, ms) => {
        const id = set(() => (window.timers.delete(id), fn()), ms);
        window.timers.add(id);
        return id;
      };
    });
    everything.length = 0;
    await page.reload();
    await inState(page, 'ANON');
    assert.deepEqual(everything.map(([path, { cause, activity }]) => [path, cause, activity]), [['/v1/context', 'load', 'passive']]);
    assert.equal(await page.evaluate(() => window.timers.size), 0, 'timers');
    assert.equal(context.pages().filter((other) => other.url() !== 'about:blank').length, 1);
    assert.deepEqual(errors, []);
  });

  await step('row 2: a hidden tab asks nothing until it is seen', async () => {
    behind = await hidden(context, page, shop.url);
    assert.equal(await state(behind), 'INIT');
    assert.equal(everything.length, 1);
    await behind.bringToFront();
    await inState(behind, 'ANON');
    assert.equal(everything.length, 2);
  });

  await step('row 1: or until its widget asks', async () => {
    const tab = await hidden(context, page, shop.url);
    await given(tab);
    assert.equal(await state(tab), 'ANON');
    assert.equal(everything.length, 3);
    await tab.close();
  });

  await step('rows 18, 24: another click opens no other window', async () => {
    await page.bringToFront();
    await ask(page);
    const opened = await popup(page);
    await page.bringToFront();
    const windows = context.pages().length;
    await signIn(page).click();
    assert.equal(await state(page), 'LOGIN_PENDING');
    assert.equal(context.pages().length, windows);
    assert.equal(everything.filter(([path]) => path === '/v1/login/start').length, 1);
    await enter(opened, 'alice');
    await shows(page, welcome);
  });

  await step('row 26: the other tab follows when it is seen, without a prompt', async () => {
    assert.equal(await state(behind), 'ANON');
    const before = everything.length;
    await behind.bringToFront();
    await inState(behind, 'READY');
    assert.equal(await customer(behind), await customer(page));
    assert.deepEqual(everything.slice(before).map(([path]) => path), ['/v1/context']);
  });

  await step('row 3: what is in hand is given at once', async () => {
    const { now, jti } = await given(behind);
    assert.equal(now, true);
    assert.deepEqual(await given(behind), { now, jti });
  });

  await step('rows 7, 27: a hidden tab plans nothing, and takes what another renews', async () => {
    const before = everything.length;
    await until('no timer runs', () => page.evaluate(() => window.timers.size === 0));
    const old = (await given(behind)).jti;
    await later(behind, 430);
    await given(behind); // it should be renewed by now
    await until('the tab that is seen has another', async () => (await given(behind)).jti !== old);
    assert.equal((await given(page)).jti, (await given(behind)).jti);
    assert.deepEqual(everything.slice(before).map(([, { cause }]) => cause), ['demand']);
  });

  await step('row 8: seen again, it renews what is due', async () => {
    const before = everything.length;
    const old = (await given(page)).jti;
    await later(page, 500); // what was taken over is renewed a little later
    await page.bringToFront();
    await until('it asks', () => everything.length > before, 3);
    await inState(page, 'READY');
    assert.notEqual((await given(page)).jti, old);
    assert.deepEqual(everything.slice(before).map(([, { cause }]) => cause), ['wake']);
  });

  await step('row 8: frozen until its context has expired: usable at once when it is seen (G11)', async () => {
    const session = await context.newCDPSession(page);
    await behind.bringToFront();
    await later(page, 3_600);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    const old = (await given(behind)).jti;
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    const start = performance.now();
    await page.bringToFront();
    const { jti } = await given(page);
    t.diagnostic(`G11: a context ${Math.round(performance.now() - start)} ms after the frozen tab was seen again`);
    assert.ok(jti && jti !== old);
  });

  await step('row 8: left for an hour, and found by the back button', async () => {
    const before = everything.length;
    await page.evaluate(() => addEventListener('pagehide', ({ persisted }) => {
      const now = performance.now.bind(performance);
      performance.now = () => now() + 3_600_000;
      window.kept = persisted;
    }));
    const old = (await given(page)).jti;
    await page.goto('about:blank');
    await page.goBack({ waitUntil: 'commit' });
    assert.equal(await page.evaluate(() => window.kept), true, 'the same page, not a new one');
    await until('it asks', () => everything.length > before, 3);
    await inState(page, 'READY');
    assert.notEqual((await given(page)).jti, old);
    assert.deepEqual(everything.slice(before).map(([, { cause }]) => cause), ['wake']);
    assert.equal(context.pages().filter((other) => other.url() !== 'about:blank').length, 2, 'no window opened');
  });

  await step('row 10: a context that the chat side refuses is renewed, and the next is another', async () => {
    const before = everything.length;
    const { jti } = await given(page);
    const next = await given(page, true);
    assert.notEqual(next.jti, jti);
    assert.deepEqual(everything.slice(before).map(([, { cause, rejected_jti: refused }]) => [cause, refused]), [['rejected', jti]]);
  });

  await step('rows 14, 15: somebody else signs in over the other: no tab goes on as either, until its page accepts', async () => {
    const alice = await customer(page);
    await behind.bringToFront();
    const [opened] = await Promise.all([behind.waitForEvent('popup'), behind.evaluate(() => void window.chat.login({ purpose: 'switch', prompt: 'login' }))]);
    await enter(opened, 'bob');
    await inState(behind, 'MISMATCH');
    assert.deepEqual((await told(behind)).slice(-2), ['unloadAndClearSession', 'load']);
    assert.equal((await given(behind)).jti, undefined);
    await behind.evaluate(() => window.chat.acceptCustomer());
    await inState(behind, 'READY');
    await page.bringToFront();
    await inState(page, 'MISMATCH');
    assert.match(await events(page), /usermismatch/);
    assert.deepEqual((await told(page)).slice(-2), ['unloadAndClearSession', 'load']);
    await ask(page);
    await shows(page, 'Please sign in.');
    await page.evaluate(() => window.chat.acceptCustomer());
    await inState(page, 'READY');
    assert.equal((await told(page)).at(-1), 'setCustomer');
    assert.equal(await customer(page), await customer(behind));
    assert.notEqual(await customer(page), alice);
    await ask(page);
    await shows(page, 'Bob, you are a standard customer.');
  });

  await step('rows 12, 28: the session is gone: one tab asks, both know, and what was said stays on the screen', async () => {
    const commands = await Promise.all([page, behind].map(told));
    await context.clearCookies({ name: '__Host-chatpass-support' });
    const before = everything.length;
    await later(page, 3_600);
    assert.equal((await given(page)).jti, undefined);
    await inState(page, 'LOGIN_NEEDED');
    await inState(behind, 'LOGIN_NEEDED');
    assert.deepEqual(await Promise.all([page, behind].map(told)), commands);
    assert.deepEqual(everything.slice(before).map(([path]) => path), ['/v1/context']);
  });

  await step('rows 18, 21: who is signed in at the issuer clicks, and types nothing', async () => {
    await ask(page);
    const opened = await popup(page);
    await shows(page, 'Bob, you are a standard customer.');
    assert.equal(opened.isClosed(), true);
  });

  await step('row 29: signed out in one tab, every widget forgets the person', async () => {
    await behind.bringToFront();
    await inState(behind, 'READY');
    await behind.evaluate(() => window.chat.logout());
    for (const tab of [behind, page]) {
      await inState(tab, 'SIGNED_OUT');
      assert.deepEqual((await told(tab)).slice(-2), ['unloadAndClearSession', 'load']);
      assert.match(await events(tab), /^logout {"reason":"logged_out"}/m);
      assert.deepEqual(await given(tab), { now: true, jti: undefined });
    }
    assert.deepEqual((await context.cookies(url)).filter(({ name }) => name === '__Host-chatpass-support'), []);
  });

  await step('row 25: a sign-in that takes more than 15 minutes is over, and the next click begins another', async () => {
    await page.bringToFront();
    await context.clearCookies({ name: /session/i }); // the issuer's: it asks who is there
    await ask(page);
    const opened = await popup(page);
    await opened.locator('input[name=login]').waitFor();
    await page.bringToFront();
    await later(page, 901);
    await inState(page, 'LOGIN_NEEDED');
    assert.match(await events(page), /"error":"txn_expired"/);
    await signIn(page).click(); // in the same window: it has a name
    await until('the window begins anew', () => everything.filter(([path]) => path === '/v1/login/start').length > 1 && opened.locator('input[name=login]').isVisible());
    await enter(opened, 'alice');
    await shows(page, welcome);
  });

  await step('row 32: a page that is set up wrongly is told so once, and asks no more', async () => {
    const before = everything.length;
    errors.length = 0;
    const end = await page.evaluate(async (url) => {
      const { create } = await import(`${url}/sdk/v1/chatpass.js`);
      const wrong = create({ clientId: 'support-web', authHost: url, audience: 'https://elsewhere.example' });
      const faults = [];
      wrong.on('error', (fault) => faults.push(fault));
      await wrong.ready;
      for (let i = 0; i < 3; i++) await new Promise((done) => wrong.contextProvider(done, true));
      return { state: wrong.state, faults, token: await wrong.getToken() };
    }, url);
    assert.equal(end.state, 'FATAL');
    assert.equal(end.token, null);
    assert.deepEqual(end.faults.map(({ error, requestId }) => [error, /^\w+$/.test(requestId)]), [['invalid_target', true]]);
    assert.equal(errors.filter((text) => text.includes('chatpass')).length, 1, `${errors}`);
    assert.equal(everything.length, before + 1);
  });

  await step('row 20: a page that is isolated from other origins signs in by redirect, and is come back to', async () => {
    await page.evaluate(() => window.chat.logout());
    await context.clearCookies({ name: /session/i });
    await page.goto(`${shop.url}/cross-origin-isolated`);
    await ask(page);
    assert.equal(await page.evaluate(() => crossOriginIsolated), true);
    await signIn(page).click();
    await page.locator('input[name=login]').fill('alice');
    await page.locator('input[name=password]').fill('any');
    await page.getByRole('button', { name: 'Sign-in' }).click();
    await page.waitForURL(`${shop.url}/cross-origin-isolated`);
    await ask(page);
    await shows(page, welcome);
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  });

  await step('ten tabs of a browser that is started again: nobody is asked, and hidden tabs ask nothing (G17)', async () => {
    await all.browser.quit();
    const again = (await start()).contexts()[0];
    const requests = asked(again, url);
    const tabs = [];
    for (let i = 0; i < 10; i++) {
      tabs.push(await again.newPage());
      await tabs[0].bringToFront();
      await tabs[i].goto(shop.url);
    }
    await inState(tabs[0], 'READY');
    assert.equal(requests.length, 1);
    for (const tab of tabs) {
      await tab.bringToFront();
      await ask(tab);
      await shows(tab, welcome);
    }
    assert.deepEqual(new Set(requests.map(([path]) => path)), new Set(['/v1/context']));
    assert.equal(again.pages().filter((other) => other.url() !== 'about:blank').length, 10);
    await tabs[0].evaluate(() => window.chat.logout());
    all.browser = again.browser();
  });

  await step('the browser dies in the middle of a sign-in: started again, the next click signs in (G17)', async () => {
    const [before] = all.browser.contexts();
    const tab = before.pages().at(-1);
    await before.clearCookies({ name: /session/i });
    await tab.bringToFront();
    await ask(tab);
    await (await popup(tab)).waitForURL(/interaction/);
    await all.browser.crash();
    const [after] = (await start()).contexts();
    await after.clearCookies({ name: /session/i }); // the disk may have kept those
    const again = await after.newPage();
    await again.goto(shop.url);
    await ask(again);
    await enter(await popup(again), 'alice');
    await shows(again, welcome);
  });
});

test('a page that is left alone', { timeout: 120_000 }, async (t) => {
  const all = await signedIn(t, { lifetime: '2s', session: '{idle: 5s, absolute: 4m}' });
  const { page, context, url } = all;
  const step = steps(t, report(all));
  const requests = asked(context, url);

  await step('row 6: what it has is renewed by itself', async () => {
    await later(page, 61); // the click is long ago
    await until('it has asked twice', () => requests.length > 1);
    assert.deepEqual(requests.at(-1)[1].cause, 'timer');
  });

  await step('row 30: it is told once that the session ends within five minutes', async () => {
    const [expiring] = await until('it is told', async () => (await events(page)).match(/^expiring .*$/gm));
    assert.ok(JSON.parse(expiring.slice('expiring '.length)).expiresIn <= 240);
    const before = requests.length;
    await until('it has asked once more', () => requests.length > before);
    assert.equal((await events(page)).match(/^expiring /gm).length, 1);
  });

  await step('row 12: renewals are no activity: the session ends, and what was said stays on the screen', async () => {
    const commands = await told(page);
    await inState(page, 'LOGIN_NEEDED');
    assert.deepEqual(new Set(requests.map(([, { activity }]) => activity)), new Set(['passive']));
    assert.deepEqual(await told(page), commands);
    assert.equal(context.pages().length, 1, 'no prompt by itself');
    await ask(page);
    await popup(page);
    await shows(page, welcome);
  });
});
