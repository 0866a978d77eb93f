// A person's working day in a real browser: ten tabs of which one is seen, eight hours, a lunch of 55 minutes, six
// sleeps of the machine and two failures of its network. The browser's clocks are put forward. Those of the
// service cannot be, so its real answers are aged on their way: the session's rest is what it would be, and it
// ends after an hour without activity or ten hours in all, as the service's tests show it does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { steps, until } from './chatpass.mjs';
import { everyday } from './chromium.mjs';
import { ask, shows, signIn, signedIn, state, welcome } from './company.mjs';

const MINUTE = 60;

// aging runs in every page: answers come as from a service on whose clock as much time went by as in the browser.
function aging() {
  const HOUR = 3_600;
  const ask = window.fetch;
  window.fetch = async (address, init) => {
    const response = await ask(address, { ...init, signal: undefined }); // it takes real time, which does not leap
    if (!address.endsWith?.('/v1/context')) return response;
    const now = Date.now() / 1000;
    const { began = now, active = now, ended = 0 } = JSON.parse(localStorage.day ?? '{}');
    const rest = { idle_expires_in: HOUR - (now - active), expires_in: 10 * HOUR - (now - began) };
    const still = JSON.parse(init.body).activity === 'active' ? now : active;
    localStorage.day = JSON.stringify({ began, active: still, ended: ended + (rest.idle_expires_in <= 0 || rest.expires_in <= 0) });
    const body = await response.json();
    Object.assign(body.session, rest, { idle_expires_in: HOUR - (now - still) });
    return new Response(JSON.stringify(body), response);
  };
}

test('eight hours in ten tabs ask for one sign-in (G4)', { timeout: 300_000 }, async (t) => {
  const { page, context, shop, url, service } = await signedIn(t, { lifetime: '10m', open: everyday(t) });
  const step = steps(t, async () => `page: ${await page.locator('body').innerText()}\nservice: ${service.said}`);
  const tabs = [page];
  let [seen, now, requests] = [page, 0, 0];
  context.on('request', (request) => request.method() === 'POST' && request.url() === `${url}/v1/context` && requests++);

  const see = async (tab) => {
    seen = tab;
    await tab.bringToFront();
    await until('the tab is seen', () => tab.evaluate(() => document.visibilityState === 'visible'));
  };
  const quiet = () => until('nothing is under way', async () => !/CHECKING|RENEWING|STALE/.test(await state(seen)));
  const awake = async (seconds) => {
    for (let gone = 0; gone < seconds; gone += 40) await asleep(40); // too short a leap to be taken for a sleep
  };
  const asleep = async (seconds) => {
    now += seconds;
    await context.clock.fastForward(seconds * 1000);
    await quiet();
  };
  const works = async () => {
    const before = shop.presented.length;
    await ask(seen);
    await until('the API hears from the tab', () => shop.presented.length > before);
    await shows(seen, welcome);
    assert.equal(await signIn(seen).isVisible(), false);
  };

  await step('ten tabs are opened', async () => {
    await context.addInitScript(aging);
    await context.clock.install();
    await page.reload();
    while (tabs.length < 10) {
      tabs.push(await context.newPage());
      await tabs.at(-1).goto(shop.url);
    }
    await see(page);
    await works();
  });

  const began = context.pages().length;
  for (let hour = 0; hour < 8; hour++) {
    await step(`hour ${hour + 1}`, async () => {
      for (let part = 0; part < 4; part++) {
        await see(tabs[(hour * 7 + part * 3) % 10]);
        await works();
        await awake(8 * MINUTE);
        await works();
        if (part === 1 && hour === 3) await awake(55 * MINUTE);
        else if (part === 2 && hour !== 3 && hour < 7) await asleep((4 + 3 * hour) * MINUTE);
        else if (part === 3 && hour % 5 === 1) {
          await context.setOffline(true);
          await awake(6 * MINUTE);
          await context.setOffline(false);
          await awake(2 * MINUTE);
        } else await awake(6 * MINUTE);
        await works();
      }
    });
  }

  await step('nobody was asked, and few requests were made', async () => {
    const hours = now / 60 / MINUTE;
    t.diagnostic(`${hours.toFixed(1)} hours, ${(requests / hours).toFixed(1)} requests an hour in ten tabs`);
    assert.ok(hours >= 8);
    const day = await page.evaluate(() => JSON.parse(localStorage.day));
    assert.equal(day.ended, 0, 'requests after the session would have ended');
    assert.equal(context.pages().length, began, 'windows');
    for (const tab of tabs) assert.doesNotMatch(await tab.locator('#state').textContent(), /LOGIN|SIGNED_OUT|ANON|POPUP/);
    assert.ok(requests / hours <= 13, `${requests} requests`);
  });
});
