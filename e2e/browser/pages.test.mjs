// The pages that people see of the service, in a real browser: they fit, can be read in light and dark, run
// nothing but their own script, and say the same to a screen reader. With the environment variable
// CHATPASS_SCREENSHOTS set to a folder, each is photographed there (`make screenshots`).
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { freeAddress, serve, urlOf } from './chatpass.mjs';
import { launch } from './chromium.mjs';
import { reads } from './reads.mjs';

const languages = ['en', 'de', 'fr', 'es', 'ja'];
const themes = ['light', 'dark'];
const folder = process.env.CHATPASS_SCREENSHOTS;
if (folder) mkdirSync(folder, { recursive: true });

test('the pages of the service', { timeout: 240_000 }, async (t) => {
  const [listen, nobody] = [await freeAddress(), await freeAddress()];
  const url = urlOf(listen);
  await serve(t, listen, { CORP_SECRET: 'a-secret-of-the-issuer-0123456789abcdef' }, `
issuers:
  corp: {issuer: ${urlOf(nobody)}, client_id: chatpass, client_secret: env:CORP_SECRET, frontchannel_logout: true, label: Example Company}
  plant: {issuer: ${urlOf(nobody)}/plant, client_id: chatpass, client_secret: env:CORP_SECRET, label: Plants & Warehouses}
apps:
  support:
    audience: [https://api.example.com]
    issuers: [corp]
    origins: [http://localhost:1]
    clients: {support-web: {type: browser}}
  desk:
    audience: [https://api.example.com]
    issuers: [corp, plant]
    origins: [http://localhost:1]
    clients: {desk-web: {type: browser}}
`);
  const start = new URLSearchParams({ client_id: 'support-web', txn: 'a'.repeat(22), challenge: 'c'.repeat(43), mode: 'popup', page_origin: 'http://localhost:1' });
  const choose = new URLSearchParams(start);
  choose.set('client_id', 'desk-web');
  const frame = new URLSearchParams({ iss: urlOf(nobody), sid: 'nobody' });
  const pages = {
    chooser: { path: `/v1/login/start?${choose}`, status: 200 },
    'signed-out': { path: '/v1/logout/callback', status: 200 },
    'sign-out-failed': { path: '/v1/logout/start?l=old', status: 410 },
    expired: { path: '/v1/login/callback/corp?code=c&state=s', status: 410 },
    failed: { path: '/v1/login/start?client_id=nobody', status: 401 },
    unavailable: { path: `/v1/login/start?${start}`, status: 503 },
    'front-channel': { path: `/v1/frontchannel-logout/corp?${frame}`, status: 200 },
  };
  const browser = await launch(t);
  for (const locale of languages) {
    for (const colorScheme of themes) {
      await t.test(`${locale}, ${colorScheme}`, async () => {
        const context = await browser.newContext({ locale, colorScheme, viewport: { width: 420, height: 560 } });
        const page = await context.newPage();
        const said = [];
        page.on('console', (message) => /Content Security|error/i.test(message.text()) && !/status of/.test(message.text()) && said.push(message.text()));
        for (const [name, { path, status }] of Object.entries(pages)) {
          const answer = await page.goto(url + path);
          assert.equal(answer.status(), status, name);
          assert.equal(await page.locator('html').getAttribute('lang'), locale, name);
          await reads(page, name);
          if (folder) await page.screenshot({ path: join(folder, `${name}-${locale}-${colorScheme}.png`) });
        }
        assert.deepEqual(said, []);
        await context.close();
      });
    }
  }
});
