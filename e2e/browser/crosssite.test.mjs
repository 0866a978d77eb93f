// A shop on another site than the service: 127.0.0.1 and localhost have nothing in common for a browser.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { steps, until } from './chatpass.mjs';
import { ask, company, enter, popup, shows, signIn, stranger } from './company.mjs';
import { reads } from './reads.mjs';

const welcome = 'Alice, you are a gold customer.';
const states = (page) => page.locator('#state').textContent();
const token = (page, force) => page.evaluate((force) => window.chat.getToken({ force }), force);

async function fill(window) {
  await window.locator('input[name=login]').fill('alice');
  await window.locator('input[name=password]').fill('any');
  await window.getByRole('button', { name: 'Sign-in' }).click();
}

test('a shop on another site (mode B)', { timeout: 240_000 }, async (t) => {
  const { page, context, browser, service, shop, url, errors } = await company(t, { across: true });
  const step = steps(t, async () => `page: ${await page.locator('body').innerText()}\nservice: ${service.said}`);

  await step('a person signs in by popup, and contexts are renewed', async () => {
    await ask(page);
    await enter(await popup(page), 'alice');
    await shows(page, welcome);
    const first = await token(page);
    const second = await token(page, true);
    assert.ok(second && second !== first, 'renewed by the cookie');
    assert.deepEqual(errors, []);
  });

  await step('after a reload nobody has to sign in again', async () => {
    await page.reload();
    await ask(page);
    await shows(page, welcome);
    assert.equal(context.pages().length, 1);
  });

  await step('another site that embeds the shop finds nobody signed in', async () => {
    const other = await context.newPage();
    await other.goto((await stranger(t, `<iframe src="${shop.url}/"></iframe>`)).sibling);
    const frame = other.frameLocator('iframe');
    await until('the embedded shop has asked', async () => /ANON/.test(await frame.locator('#state').textContent()));
    assert.doesNotMatch(await frame.locator('#state').textContent(), /READY/);
    await other.close();
  });

  await step('who opens the window from elsewhere hears nothing, and cannot claim', async () => {
    const attacker = await context.newPage();
    await attacker.goto((await stranger(t)).sibling);
    await attacker.evaluate(() => {
      window.heard = [];
      window.onmessage = ({ data }) => window.heard.push(data);
    });
    const query = new URLSearchParams({ client_id: 'support-web', txn: 't'.repeat(22), challenge: 'c'.repeat(43), mode: 'popup', page_origin: shop.url, relay_uri: `${shop.url}/signed-in` });
    const [opened] = await Promise.all([attacker.waitForEvent('popup'), attacker.evaluate((to) => void window.open(to), `${url}/v1/login/start?${query}`)]);
    await opened.waitForEvent('close');
    assert.deepEqual(await attacker.evaluate(() => window.heard), []);
    const answer = await attacker.evaluate((to) => fetch(to, { method: 'POST', credentials: 'include', headers: { 'Content-Type': 'application/json', 'X-Chatpass-Client': 'web/0' }, body: '{"client_id":"support-web"}' }).then((r) => r.text(), () => 'blocked'), `${url}/v1/context`);
    assert.equal(answer, 'blocked');
    await attacker.close();
  });

  await step('sign-out is everywhere', async () => {
    await page.evaluate(() => window.chat.logout());
    await page.reload();
    await until('the page knows that nobody is signed in', async () => /ANON/.test(await states(page)));
    assert.equal(await token(page), null);
  });

  await step('by redirect it works as well, and no code stays in the address', async () => {
    const fresh = await (await browser.newContext()).newPage();
    await fresh.goto(`${shop.url}/?redirect`);
    await ask(fresh);
    await Promise.all([fresh.waitForURL(/interaction/), signIn(fresh).click()]);
    await fill(fresh);
    await fresh.waitForURL(`${shop.url}/?redirect`);
    await ask(fresh);
    await shows(fresh, welcome);
    assert.deepEqual(await fresh.evaluate(() => ({ ...sessionStorage })), {});
    await fresh.context().close();
  });

  await step('a page that isolates itself hears of the sign-in from its own page', async () => {
    const fresh = await (await browser.newContext()).newPage();
    await fresh.goto(`${shop.url}/isolated`);
    await ask(fresh);
    const [opened] = await Promise.all([fresh.context().waitForEvent('page'), signIn(fresh).click()]);
    await fill(opened);
    await opened.getByText('You are signed in. You can close this window').waitFor();
    assert.equal(new URL(opened.url()).hash, '');
    await shows(fresh, welcome);
    await fresh.context().close();
  });

  for (const [locale, colorScheme, title] of [['en', 'light', 'The chat cannot hear this window'], ['de', 'dark', 'Der Chat kann dieses Fenster nicht hören']]) {
    await step(`a window that nobody hears says so: ${locale}, ${colorScheme}`, async () => {
      const alone = await (await browser.newContext({ locale, colorScheme, viewport: { width: 420, height: 560 } })).newPage();
      const query = new URLSearchParams({ client_id: 'support-web', txn: colorScheme.padEnd(22, '-'), challenge: 'c'.repeat(43), mode: 'popup', page_origin: shop.url });
      await alone.goto(`${url}/v1/login/start?${query}`);
      await fill(alone);
      await alone.getByRole('status').filter({ hasText: title }).waitFor();
      await reads(alone, 'lost');
      if (process.env.CHATPASS_SCREENSHOTS) await alone.screenshot({ path: join(process.env.CHATPASS_SCREENSHOTS, `lost-${locale}-${colorScheme}.png`) });
      await alone.context().close();
    });
  }
});
