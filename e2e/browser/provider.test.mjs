// The service with an identity provider that others wrote (npm oidc-provider), and a page of our own,
// in a real browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freeAddress, steps, until, urlOf } from './chatpass.mjs';
import { ask, company, enter, popup, shows, signIn } from './company.mjs';
import { open as openShop } from './shop.mjs';

test('a customer chats signed in, through renewal, sign-out at the issuer and back', { timeout: 240_000 }, async (t) => {
  const { page, context, shop, issuer, service, errors } = await company(t);
  const step = steps(t, async () => `page: ${await page.locator('body').innerText()}\nservice: ${service.said}`);
  let loggedOut = 0;
  issuer.provider.on('backchannel.success', () => loggedOut++);

  await step('anonymous at first, without a request that fails', async () => {
    await ask(page);
    await shows(page, 'Please sign in.');
    assert.deepEqual(errors, []);
  });

  await step('signs in by popup, and the question is answered', async () => {
    await enter(await popup(page), 'alice');
    await shows(page, 'Alice, you are a gold customer.');
  });

  const [first] = shop.presented;
  await step('the context expires and is renewed without a prompt', async () => {
    await until('a later context is presented than the first, which has expired', async () => {
      await ask(page);
      const latest = shop.presented.at(-1);
      return latest.iat >= first.exp && latest.jti !== first.jti;
    }, 60);
    assert.equal(await signIn(page).isVisible(), false);
    assert.deepEqual(new Set(shop.presented.map(({ sub, sid }) => `${sub} ${sid}`)).size, 1, 'one customer, one session');
    assert.equal(context.pages().length, 1, 'no other window');
  });

  await step('the session ends at the issuer, and the chat offers Sign In', async () => {
    const elsewhere = await context.newPage();
    await elsewhere.goto(`${issuer.issuer}/session/end`);
    await elsewhere.getByRole('button', { name: 'Sign me out' }).click();
    await until('the issuer has told the service', () => loggedOut === 1);
    elsewhere.close().catch(() => {}); // its end is nothing to wait for
    await until('the page offers Sign In', async () => {
      await ask(page);
      return signIn(page).isVisible();
    });
  });

  await step('signs in again and goes on as the same customer', async () => {
    const before = shop.presented.length;
    await enter(await popup(page), 'alice');
    await until('the API hears from the page', () => shop.presented.length > before);
    const last = shop.presented.at(-1);
    assert.equal(last.sub, first.sub);
    assert.notEqual(last.sid, first.sid, 'a session of its own');
  });

  await step('signs out, here and at the issuer', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign me out' }).click();
    await page.waitForURL(`${shop.url}/**`);
    await ask(page);
    await shows(page, 'Please sign in.');
    const window = await popup(page);
    await window.locator('input[name=login]').waitFor(); // the issuer asks who it is: nobody is signed in there
  });
});

test('a cancelled sign-in leaves the chat anonymous, and the next one works', { timeout: 120_000 }, async (t) => {
  const { page } = await company(t);
  await ask(page);
  const window = await popup(page);
  await Promise.all([window.waitForEvent('close'), window.getByText('Cancel').click()]);
  await shows(page, 'Please sign in.');
  await enter(await popup(page), 'bob');
  await shows(page, 'Bob, you are a standard customer.');
});

test('where popups cannot be, sign-in goes by redirect and comes back', { timeout: 120_000 }, async (t) => {
  const { page, shop } = await company(t, { path: '/?redirect' });
  await ask(page);
  await signIn(page).click();
  await page.locator('input[name=login]').fill('alice');
  await page.locator('input[name=password]').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.waitForURL(`${shop.url}/?redirect`);
  await ask(page);
  await shows(page, 'Alice, you are a gold customer.');
  assert.equal(new URL(page.url()).hash, '', 'nothing of the sign-in is left in the address');
});

test('a page that is not registered gets nothing', { timeout: 120_000 }, async (t) => {
  const { page, url } = await company(t);
  const address = await freeAddress();
  await openShop(t, address, url);
  await page.goto(urlOf(address));
  const answer = await page.evaluate((url) => fetch(url, {
    method: 'POST', credentials: 'include', headers: { 'Content-Type': 'application/json', 'X-Chatpass-Client': 'web/1' },
    body: JSON.stringify({ client_id: 'support-web', activity: 'passive', cause: 'load' }),
  }).then(() => 'read', () => 'blocked'), `${url}/v1/context`);
  assert.equal(answer, 'blocked');
});

test('on a path of the site\'s own origin, behind its proxy (mode C)', { timeout: 120_000 }, async (t) => {
  const { page, context, shop, url } = await company(t, { proxied: true });
  assert.equal(new URL(url).origin, new URL(page.url()).origin);
  await ask(page);
  await enter(await popup(page), 'alice');
  await shows(page, 'Alice, you are a gold customer.');
  const [cookie] = (await context.cookies()).filter(({ name }) => name === '__Host-chatpass-support');
  assert.equal(cookie.sameSite, 'Strict');
  const first = shop.presented.at(-1).jti;
  await until('a later context is presented', async () => {
    await ask(page);
    return shop.presented.at(-1).jti !== first;
  });
  const session = await page.evaluate((url) => fetch(`${url}/v1/session?client_id=support-web`, { headers: { 'X-Chatpass-Client': 'web/1' } }).then((r) => r.json()), url);
  assert.equal(session.active, true, 'a GET on our own origin has no Origin header');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign me out' }).click();
  await page.waitForURL(`${shop.url}/`);
  await ask(page);
  await shows(page, 'Please sign in.');
});
