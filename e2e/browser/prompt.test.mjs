// The prompts of the SDK's second module, as people meet them: by eye, by keyboard, by screen reader.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { steps, until } from './chatpass.mjs';
import { ask, company, enter, shows, signIn, stranger } from './company.mjs';

const welcome = 'Alice, you are a gold customer.';
const prompted = (options = {}) => `/prompted?options=${encodeURIComponent(JSON.stringify(options))}`;
const card = (page) => page.getByRole('region', { name: 'Sign-in' });
const says = (page, text) => card(page).getByRole('status').filter({ hasText: text }).waitFor();
const button = (page, name) => card(page).getByRole('button', { name, exact: true });
const silent = (page) => until('the prompt is gone', async () => (await card(page).getByRole('button').count()) === 0 && (await card(page).innerText()) === '');

test('people are told what the chat needs of them', { timeout: 240_000 }, async (t) => {
  const { page, context, service, issuer, url, errors } = await company(t, { path: prompted() });
  const step = steps(t, async () => `page: ${await page.locator('body').innerText()}\nservice: ${service.said}`);
  const click = async (name) => (await Promise.all([page.waitForEvent('popup'), button(page, name).click()]))[0];

  await step('nothing, while nothing is needed', async () => {
    await ask(page);
    await shows(page, 'Please sign in.');
    await silent(page);
    assert.deepEqual(errors, [], 'a strict policy has nothing to refuse');
  });

  await step('a window that the browser blocked: the button opens one', async () => {
    await page.evaluate(() => {
      window.open.allowed = window.open;
      window.open = Object.assign(() => null, { allowed: window.open });
    });
    await signIn(page).click();
    await says(page, 'Your browser has blocked the sign-in window.');
    await page.evaluate(() => (window.open = window.open.allowed));
    const opened = await click('Continue to sign in');
    await says(page, 'Please go on in the sign-in window.');
    await opened.close();
  });

  await step('a window that was closed: try again', async () => {
    await says(page, 'The sign-in window was closed.');
    await page.evaluate(async (url) => (window.late = (await import(`${url}/sdk/v1/chatpass-prompt.js`)).attach(window.chat)), url);
    await until('a prompt that comes later says what is needed too', async () => (await page.getByText('Please sign in to go on.').count()) === 1);
    await page.evaluate(() => window.late.close());
    await enter(await click('Try again'), 'alice');
    await shows(page, welcome);
    await silent(page);
  });

  await step('who writes in the chat keeps the focus, and Escape closes the prompt and gives it back', async () => {
    await page.locator('#ask').focus();
    await page.evaluate(() => window.prompts.ask());
    await says(page, 'Please sign in to go on.');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'ask');
    await page.evaluate(() => document.querySelector('chatpass-prompt').shadowRoot.querySelector('button').focus());
    await page.keyboard.press('Escape');
    await silent(page);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'ask');
  });

  await step('a higher sign-in is needed: by keyboard alone', async () => {
    await page.evaluate(() => void window.chat.stepUp({ maxAge: 0 }).catch(() => {}));
    await says(page, 'Please confirm that it is you.');
    await button(page, 'Confirm').focus();
    const [opened] = await Promise.all([page.waitForEvent('popup'), page.keyboard.press('Enter')]);
    await says(page, 'Please go on in the sign-in window.');
    await opened.close();
    await silent(page); // the page that wanted it is told; the chat goes on
    await ask(page);
    await shows(page, welcome);
  });

  await step('the issuer signed the person out', async () => {
    const elsewhere = await context.newPage();
    await elsewhere.goto(`${issuer.issuer}/session/end`);
    await elsewhere.getByRole('button', { name: 'Sign me out' }).click();
    await page.bringToFront();
    await until('the page knows', async () => {
      await page.evaluate(() => window.chat.getToken({ force: true }));
      return /SIGNED_OUT/.test(await page.locator('#state').textContent());
    });
    await says(page, 'You have been signed out.');
    await button(page, 'Close').click();
    await silent(page);
  });

  await step('the page asks for a sign-in by itself', async () => {
    await page.evaluate(() => window.prompts.ask());
    await enter(await click('Sign in'), 'alice');
    await ask(page);
    await shows(page, welcome);
    await silent(page);
  });

  await step('a service that cannot be reached, until it can', async () => {
    await page.route('**/v1/context', (route) => route.abort());
    await page.reload();
    await until('the prompt is there', () => page.evaluate(() => Boolean(window.prompts)));
    assert.equal(await page.evaluate(() => window.chat.getToken()), null);
    await says(page, 'The chat cannot be reached at the moment.');
    await until('it was tried again', async () => ((await page.locator('#state').textContent()).match(/BACKOFF/g) ?? []).length > 1);
    await says(page, 'The chat cannot be reached at the moment.');
    await page.unroute('**/v1/context');
    await silent(page);
    await ask(page);
    await shows(page, welcome);
  });

  await step('a page loads the scripts of a version by their hashes, and none that is another', async () => {
    const scripts = execFileSync(process.env.CHATPASS, ['version'], { encoding: 'utf8' }).match(/^\/sdk\S+iife\.js integrity="[^"]+"$/gm);
    const tags = scripts.map((script) => `<script crossorigin src="${url}${script.replace(' ', '" ')}></script>`);
    const load = async (html) => {
      const other = await context.newPage();
      await other.goto((await stranger(t, html)).foreign);
      return other.evaluate(() => [typeof Chatpass, typeof ChatpassPrompt]);
    };
    assert.deepEqual(await load(tags.join('')), ['object', 'object']);
    assert.deepEqual(await load(tags.join('').replaceAll('sha384-', 'sha384-A')), ['undefined', 'undefined']);
  });
});

test('the prompt can be read, in light and dark, in its language and the page\'s colours', { timeout: 120_000 }, async (t) => {
  const idps = [{ idp: 'corp', label: 'Example Corp' }, { idp: 'partners', label: 'Partner <b>A$&G</b>' }];
  const { browser, shop } = await company(t, { partners: true });
  for (const [locale, colorScheme] of [['en', 'dark'], ['de', 'light'], ['ja', 'light']]) {
    await t.test(`${locale}, ${colorScheme}`, async () => {
      const context = await browser.newContext({ locale, colorScheme, viewport: { width: 360, height: 420 } });
      const page = await context.newPage();
      await page.goto(shop.url + prompted({ idps }));
      await until('the prompt is there', () => page.evaluate(() => Boolean(window.prompts)));
      await page.evaluate(() => window.prompts.ask());
      const seen = await page.locator('chatpass-prompt').evaluate((host) => {
        const luminance = (color) => {
          const [r, g, b] = color.match(/[\d.]+/g).slice(0, 3).map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const card = host.shadowRoot.querySelector('section');
        const contrast = (element) => {
          const own = getComputedStyle(element);
          const behind = /, 0\)$/.test(own.backgroundColor) ? getComputedStyle(card).backgroundColor : own.backgroundColor;
          const [a, b] = [luminance(own.color), luminance(behind)].sort((x, y) => y - x);
          return (a + 0.05) / (b + 0.05);
        };
        const box = card.getBoundingClientRect();
        return {
          lang: host.lang, contrast: Math.min(...[...card.querySelectorAll('p, button')].map(contrast)),
          inside: box.left >= 0 && box.right <= innerWidth && card.scrollWidth <= card.clientWidth,
          labels: [...card.querySelectorAll('div button')].map((b) => b.textContent), markup: card.querySelectorAll('b').length,
        };
      });
      assert.equal(seen.lang, locale);
      assert.ok(seen.contrast >= 4.5, `contrast ${seen.contrast.toFixed(2)}`);
      assert.ok(seen.inside, 'fits');
      assert.equal(seen.markup, 0, 'a label is text');
      assert.deepEqual(seen.labels.map((label) => idps.some((idp) => label.includes(idp.label))), [true, true]);
      if (process.env.CHATPASS_SCREENSHOTS) await page.screenshot({ path: join(process.env.CHATPASS_SCREENSHOTS, `prompt-${locale}-${colorScheme}.png`) });
      const [opened] = await Promise.all([page.waitForEvent('popup'), page.getByRole('button', { name: /Partner/ }).click()]);
      await opened.locator('input[name=login]').waitFor();
      await context.close();
    });
  }
});
