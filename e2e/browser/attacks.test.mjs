// What hostile pages can try in the browser of somebody who is signed in: one on another site, and one on a
// sibling host of the same site. Each attack works against a service that forgot one rule.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { steps } from './chatpass.mjs';
import { ask, company, enter, popup, shows, stranger } from './company.mjs';

test('a hostile page gets nothing out of a signed-in browser', { timeout: 240_000 }, async (t) => {
  const { page, context, service, url } = await company(t);
  const evil = await stranger(t);
  const step = steps(t, async () => `page: ${await page.locator('body').innerText()}\nservice: ${service.said}`);

  await step('somebody is signed in', async () => {
    await ask(page);
    await enter(await popup(page), 'alice');
    await shows(page, 'Alice, you are a gold customer.');
  });

  for (const [where, address] of Object.entries(evil)) {
    await step(`${where}: no request brings a context, with whatever it is dressed up`, async () => {
      const attacker = await context.newPage();
      await attacker.goto(address);
      const answers = await attacker.evaluate(async (url) => {
        const body = JSON.stringify({ client_id: 'support-web', cause: 'load' });
        const send = (init) => fetch(`${url}/v1/context`, { method: 'POST', credentials: 'include', body, ...init }).then(async (r) => (r.type === 'opaque' ? 'opaque' : `${r.status} ${await r.text()}`), () => 'blocked');
        return Promise.all([
          send({ headers: { 'Content-Type': 'application/json', 'X-Chatpass-Client': 'web/1' } }),
          send({ headers: { 'Content-Type': 'application/json' } }),
          send({ headers: { 'Content-Type': 'text/plain' } }),
          send({}),
          send({ mode: 'no-cors' }),
          fetch(`${url}/v1/session?client_id=support-web`, { credentials: 'include' }).then((r) => r.text(), () => 'blocked'),
          fetch(`${url}/v1/logout`, { method: 'POST', credentials: 'include', mode: 'no-cors', body: '{"client_id":"support-web"}' }).then(() => 'opaque', () => 'blocked'),
        ]);
      }, url);
      for (const answer of answers) assert.match(answer, /^(blocked|opaque)$/);
      await attacker.close();
    });

    await step(`${where}: no page of ours can be framed`, async () => {
      const attacker = await context.newPage();
      await attacker.goto(address);
      const framed = await attacker.evaluate((target) => new Promise((resolve) => {
        const frame = document.createElement('iframe');
        frame.onload = () => resolve(frame.contentDocument ? 'readable' : 'loaded');
        frame.src = target;
        document.body.append(frame);
      }), `${url}/v1/logout/callback`);
      const shown = await attacker.frames().at(-1).getByText('You are signed out').count().catch(() => 0);
      assert.deepEqual([framed, shown], ['loaded', 0]); // the browser's own error page
      await attacker.close();
    });

    await step(`${where}: a form sent across signs nobody out`, async () => {
      const attacker = await context.newPage();
      await attacker.goto(address);
      await Promise.all([attacker.waitForNavigation(), attacker.evaluate((url) => {
        const form = Object.assign(document.createElement('form'), { method: 'post', action: `${url}/v1/logout`, enctype: 'text/plain' });
        form.append(Object.assign(document.createElement('input'), { name: '{"client_id":"support-web","x":"', value: '"}' }));
        document.body.append(form);
        form.submit();
      }, url)]);
      assert.match(await attacker.locator('body').innerText(), /"code":"CP-1(05|11)"/);
      await attacker.close();
    });
  }

  await step('a sibling host plants no cookie', async () => {
    const attacker = await context.newPage();
    await attacker.goto(evil.sibling);
    await attacker.evaluate(() => {
      for (const domain of ['; domain=localhost', '']) {
        for (const more of ['', '; secure']) document.cookie = `__Host-chatpass-support=planted${domain}; path=/${more}`;
      }
    });
    const sent = (await context.cookies(url)).filter(({ name }) => name === '__Host-chatpass-support');
    assert.equal(sent.length, 1);
    assert.notEqual(sent[0].value, 'planted');
    await attacker.close();
  });

  await step('after all of that the person is still signed in', async () => {
    await page.reload();
    await ask(page);
    await shows(page, 'Alice, you are a gold customer.');
  });
});

test('a sign-in window that a foreign page opened tells it nothing', { timeout: 120_000 }, async (t) => {
  const { context, shop, url } = await company(t);
  const attacker = await context.newPage();
  await attacker.goto((await stranger(t)).foreign);
  await attacker.evaluate(() => {
    window.heard = [];
    window.onmessage = ({ data }) => window.heard.push(data);
  });
  const start = new URLSearchParams({ client_id: 'support-web', txn: 't'.repeat(22), challenge: 'c'.repeat(43), mode: 'popup', page_origin: shop.url });
  const [opened] = await Promise.all([attacker.waitForEvent('popup'), attacker.evaluate((address) => void window.open(address), `${url}/v1/login/start?${start}`)]);
  await enter(opened, 'alice');
  assert.deepEqual(await attacker.evaluate(() => window.heard), []);
});
