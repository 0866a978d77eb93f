// What goes wrong around a chat, in a real browser: tabs, sleep, clocks, networks, popups. Nobody is signed
// out by any of it, and nobody is asked to sign in who is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { steps, until } from './chatpass.mjs';
import { ask, company, enter, events, inState, popup, shows, signIn, signedIn, state, welcome } from './company.mjs';

// passes lets so many seconds go by in the page, or fewer if it happens earlier. Answers of the network come in
// real time, in between; what was asked in time has time to be answered.
async function passes(page, seconds, happened) {
  for (let second = 0; second < seconds; second++) {
    await page.clock.runFor(1_000);
    if (await happened?.()) return;
  }
  if (!happened) return;
  const last = await state(page);
  if (!/STALE|RENEWING|CHECKING/.test(last)) throw new Error(`it has not happened after ${seconds} s: ${last}`);
  await until('the answer comes, and it happens', happened);
}

// watched counts the requests of a context that a browser makes.
function watched(context) {
  const seen = { count: 0 };
  context.on('request', (request) => request.url().endsWith('/v1/context') && request.method() === 'POST' && seen.count++);
  return seen;
}

test('the network fails, and nobody is signed out', { timeout: 240_000 }, async (t) => {
  const { page, context, service, url } = await signedIn(t, { lifetime: '10m' });
  const step = steps(t, async () => `page: ${await page.locator('body').innerText()}\nservice: ${service.said}`);
  await page.clock.install();
  await page.reload();
  await ask(page);
  await shows(page, welcome);
  const broken = `${url}/v1/context`;
  const works = async () => {
    await ask(page);
    await shows(page, welcome);
    assert.equal(await signIn(page).isVisible(), false);
    assert.equal(context.pages().length, 1, 'no window opened');
  };

  const failures = {
    'a captive portal answers in HTML': { status: 401, contentType: 'text/html', body: '<h1>Welcome to our wifi, please log in</h1>' },
    'a captive portal answers with success': { status: 200, contentType: 'text/html', body: '<h1>Welcome</h1>' },
    'a proxy redirects': { status: 302, headers: { location: 'http://localhost:1/login' } },
    'a proxy answers JSON of its own': { status: 403, contentType: 'application/json', body: '{"error":"blocked by policy"}' },
    'the service is overloaded': { status: 429, contentType: 'application/json', headers: { 'retry-after': '30' }, body: '{"error":"slow_down","code":"CP-702","retry":"later","retry_after":30}' },
    'the service is down': { status: 503, contentType: 'application/json', headers: { 'retry-after': '5' }, body: '{"error":"temporarily_unavailable","code":"CP-901","retry":"later","retry_after":5}' },
    'the service has a bug': { status: 500, contentType: 'text/plain', body: 'panic' },
  };
  for (const [name, answer] of Object.entries(failures)) {
    await step(`${name}: the context in hand goes on, and a later one follows`, async () => {
      const seen = watched(context);
      await page.route(broken, (route) => route.fulfill({ ...answer, headers: { 'access-control-allow-origin': new URL(page.url()).origin, 'access-control-allow-credentials': 'true', ...answer.headers } }));
      await page.clock.fastForward(430_000); // it should be renewed by now, and is good for 170 s
      await works();
      await until('a renewal failed', async () => /BACKOFF/.test(await state(page)));
      await passes(page, 60);
      assert.ok(seen.count <= 8, `${seen.count} requests in a minute`);
      await page.unroute(broken);
      await passes(page, 65, async () => (await state(page)) === 'READY'); // the longest pause, and an answer
      await works();
    });
  }

  await step('offline for ten minutes: usable within 3 s of being back', async () => {
    await context.setOffline(true);
    await page.clock.fastForward(600_000);
    await inState(page, 'OFFLINE', 'BACKOFF');
    await context.setOffline(false);
    await passes(page, 3, async () => (await state(page)) === 'READY');
    await works();
  });

  await step('the machine sleeps for half an hour, and wakes', async () => {
    await page.clock.fastForward(1_800_000);
    await works();
  });

  await step('the clock is set back and forth', async () => {
    for (const minutes of [10, -10, 60, -60]) {
      await page.clock.setSystemTime(new Date(Date.now() + minutes * 60_000));
      await works();
    }
  });
});

test('a chat side that rejects for ever costs three renewals, and no prompt', { timeout: 120_000 }, async (t) => {
  const { page, context } = await signedIn(t, { lifetime: '10m' });
  await page.clock.install();
  await page.reload();
  await inState(page, 'READY');
  const seen = watched(context);
  for (let second = 0; second < 60; second++) {
    await page.evaluate(() => new Promise((done) => window.chat.contextProvider(done, true)));
    await page.clock.runFor(1_000);
  }
  assert.ok(seen.count >= 1 && seen.count <= 3, `${seen.count} renewals in the first minute`);
  assert.match(await events(page), /degraded .*rejected_loop/);
  for (let second = 0; second < 120; second += 5) {
    await page.evaluate(() => new Promise((done) => window.chat.contextProvider(done, true)));
    await page.clock.runFor(5_000);
  }
  assert.ok(seen.count <= 6, `${seen.count} renewals in three minutes`);
  assert.equal(context.pages().length, 1);
});

test('ten tabs are one session', { timeout: 240_000 }, async (t) => {
  const { page, context, shop, service } = await company(t, { lifetime: '10m' });
  const step = steps(t, async () => `page: ${await page.locator('body').innerText()}\nservice: ${service.said}`);
  const tabs = [page];
  await step('a sign-in in one is one in all', async () => {
    for (let i = 1; i < 10; i++) tabs.push(await context.newPage());
    await Promise.all(tabs.slice(1).map((tab) => tab.goto(shop.url)));
    await page.bringToFront();
    await ask(page);
    await enter(await popup(page), 'alice');
    for (const tab of tabs) {
      await tab.bringToFront();
      await ask(tab);
      await shows(tab, welcome);
    }
    assert.equal(context.pages().length, 10, 'and no other window opened');
  });

  await step('all of them are opened again at once, as after a crash of the browser', async () => {
    await Promise.all(tabs.map((tab) => tab.reload()));
    for (const tab of tabs) {
      await tab.bringToFront();
      await ask(tab);
      await shows(tab, welcome);
    }
  });

  await step('somebody else signs in in another tab: no tab shows the one as the other', async () => {
    const other = tabs[1];
    await other.bringToFront();
    await context.clearCookies({ name: /session/i }); // the issuer's: it asks who is there
    await other.evaluate(() => window.chat.logout());
    await ask(other);
    const [opened] = await Promise.all([other.waitForEvent('popup'), signIn(other).click()]);
    await enter(opened, 'bob');
    await shows(other, 'Bob, you are a standard customer.');
    for (const tab of tabs) {
      await tab.bringToFront();
      await until('the tab is not on Alice any more', async () => {
        await ask(tab);
        return !(await tab.locator('#answer').textContent()).includes('Alice');
      });
    }
  });

  await step('a sign-out in one is one in all', async () => {
    await tabs[1].bringToFront();
    await tabs[1].evaluate(() => window.chat.logout());
    for (const tab of tabs) {
      await tab.bringToFront();
      await ask(tab);
      await shows(tab, 'Please sign in.');
    }
  });
});

test('two tabs sign in at the same time', { timeout: 120_000 }, async (t) => {
  const { page, context, shop } = await company(t);
  const second = await context.newPage();
  await second.goto(shop.url);
  const windows = [];
  for (const tab of [page, second]) {
    await tab.bringToFront();
    await ask(tab);
    windows.push(await popup(tab));
  }
  for (const opened of windows) {
    await opened.bringToFront();
    if (await opened.locator('input[name=login]').isVisible().catch(() => false)) await enter(opened, 'alice');
  }
  for (const tab of [page, second]) {
    await tab.bringToFront();
    await until('the tab knows Alice', async () => {
      await ask(tab);
      return (await tab.locator('#answer').textContent()) === welcome;
    });
  }
});

test('sign-in can always be begun again', { timeout: 240_000 }, async (t) => {
  const { page, context, shop, service } = await company(t);
  const step = steps(t, async () => `page: ${await page.locator('body').innerText()}\nservice: ${service.said}`);

  await step('the popup is closed: the next click opens another', async () => {
    await ask(page);
    await (await popup(page)).close();
    await inState(page, 'ANON', 'LOGIN_NEEDED');
    await enter(await popup(page), 'alice');
    await shows(page, welcome);
    await page.evaluate(() => window.chat.logout());
    await context.clearCookies();
  });

  await step('popups are blocked: the person is told, and may go by redirect', async () => {
    await page.evaluate(() => (window.open = () => null));
    await ask(page);
    await signIn(page).click();
    await inState(page, 'POPUP_BLOCKED');
    await page.evaluate(() => window.chat.login({ redirect: true }));
    await page.waitForURL(/interaction/);
  });

  await step('back by the back button: the chat is usable, and the next click signs in', async () => {
    await page.goBack();
    await inState(page, 'ANON', 'LOGIN_NEEDED', 'POPUP_BLOCKED');
    await page.goto(shop.url);
    await ask(page);
    await enter(await popup(page), 'alice');
    await shows(page, welcome);
    await page.evaluate(() => window.chat.logout());
    await context.clearCookies();
  });

  await step('the page is isolated from its popups (COOP): the sign-in is found all the same', async () => {
    await page.goto(`${shop.url}/isolated`);
    await ask(page);
    const [opened] = await Promise.all([context.waitForEvent('page'), signIn(page).click()]);
    await opened.locator('input[name=login]').fill('alice');
    await opened.locator('input[name=password]').fill('any');
    await opened.getByRole('button', { name: 'Sign-in' }).click();
    await page.bringToFront();
    await until('the page knows Alice', async () => {
      await ask(page);
      return (await page.locator('#answer').textContent()) === welcome;
    });
  });
});

test('a browser that loses its cookies works until the context ends, and says so', { timeout: 120_000 }, async (t) => {
  const { page, context } = await signedIn(t, { lifetime: '10m' });
  await context.clearCookies({ name: /^__Host-chatpass-/ });
  await page.evaluate(() => new Promise((done) => window.chat.contextProvider(done, true)));
  await until('the page says so', async () => /cookies_blocked/.test(await events(page)));
  await ask(page);
  await shows(page, welcome);
  assert.equal(context.pages().length, 1);
});
