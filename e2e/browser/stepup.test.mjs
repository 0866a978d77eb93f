// More than one way to be signed in: another issuer, a higher or newer authentication, a site that signs people
// in itself. With an identity provider that others wrote, in a real browser.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { steps, until } from './chatpass.mjs';
import { ask, company, enter, popup, shows } from './company.mjs';

const state = (page) => page.evaluate(() => window.chat.state);
const wait = (page, wanted) => until(`the SDK is ${wanted}`, async () => (await state(page)) === wanted);

test('a newer sign-in is demanded, given, and lasts for a while', { timeout: 240_000 }, async (t) => {
  const { page, context, shop, service, url } = await company(t);
  const step = steps(t, async () => `page: ${await page.locator('body').innerText()}\nservice: ${service.said}`);
  const cookie = async () => (await context.cookies(url)).find(({ name }) => name === '__Host-chatpass-support').value;
  const latest = async () => {
    const before = shop.presented.length;
    await ask(page);
    await until('the API hears from the page', () => shop.presented.length > before);
    return shop.presented.at(-1);
  };
  // The page waits for more; what comes of it is in window.raised.
  const demand = () => page.evaluate(() => {
    window.raised = undefined;
    window.chat.stepUp({ maxAge: 1 }).then(() => (window.raised = 'raised'), (err) => (window.raised = err.message));
  });
  const raised = () => page.evaluate(() => window.raised);
  const proveAgain = async () => {
    const [window] = await Promise.all([page.waitForEvent('popup'), page.evaluate(() => void window.chat.login())]);
    return window;
  };

  await ask(page);
  await enter(await popup(page), 'alice');
  await shows(page, 'Alice, you are a gold customer.');
  const first = await latest();
  const held = await cookie();

  await step('the issuer did not say how old the sign-in is: it is too old, and the chat goes on all the same', async () => {
    assert.equal(first.auth_time, undefined);
    await until('the sign-in is two seconds old', () => Date.now() / 1000 - first.iat > 2);
    await demand();
    await wait(page, 'STEP_UP_NEEDED');
    assert.equal((await latest()).sid, first.sid);
    assert.equal(context.pages().length, 1, 'no prompt by itself');
  });

  await step('who changes their mind keeps what they had', async () => {
    const window = await proveAgain();
    assert.equal(await state(page), 'STEP_UP_PENDING');
    await Promise.all([window.waitForEvent('close'), window.getByText('Cancel').click()]);
    await until('the page hears of it', async () => (await raised()) === 'access_denied');
    assert.equal(await state(page), 'READY');
    assert.equal((await latest()).auth_time, undefined);
    assert.equal(await cookie(), held);
  });

  await step('proved again, contexts say so: the same session, another cookie value', async () => {
    await demand();
    await wait(page, 'STEP_UP_NEEDED');
    await enter(await proveAgain(), 'alice');
    await until('the page hears of it', async () => (await raised()) === 'raised');
    const higher = await latest();
    assert.ok(higher.auth_time > first.iat - 1, `${higher.auth_time} after ${first.iat}`);
    assert.equal(higher.sid, first.sid);
    assert.deepEqual(higher.status, first.status);
    assert.notEqual(await cookie(), held);
  });

  await step('somebody else raises nothing: this issuer ends the session of the first', async () => {
    await until('the sign-in is two seconds old', () => Date.now() / 1000 - shop.presented.at(-1).auth_time > 2);
    await demand();
    await wait(page, 'STEP_UP_NEEDED');
    const before = shop.presented.length;
    await enter(await proveAgain(), 'bob');
    await until('the page hears of it', raised);
    assert.notEqual(await raised(), 'raised');
    await ask(page);
    assert.deepEqual(shop.presented.slice(before).filter(({ sub }) => sub !== first.sub), []);
  });
});

test('a person chooses among the issuers, by keyboard', { timeout: 120_000 }, async (t) => {
  const { page, shop } = await company(t, { partners: true });
  await ask(page);
  const window = await popup(page);
  await window.getByText('How do you want to sign in?').waitFor();
  assert.deepEqual(await window.getByRole('link').allTextContents(), ['Example Corp', 'partners']);
  await window.keyboard.press('Tab');
  await window.keyboard.press('Tab');
  await window.keyboard.press('Enter');
  await enter(window, 'alice');
  await shows(page, 'Alice, you are a standard customer.');
  assert.equal(shop.presented.at(-1).idp, 'partners');
});

test('a site that holds the ID token needs no window of ours', { timeout: 120_000 }, async (t) => {
  const { page, context, shop, issuer, errors } = await company(t);
  await page.evaluate(() => {
    window.prompts = 0;
    window.chat.setSiteTokenProvider(() => window.siteToken, { onLoginNeeded: () => window.prompts++ });
    window.chat.login();
  });
  await until('the site is told', () => page.evaluate(() => window.prompts === 1));
  const token = await siteSignIn(context, issuer.issuer, shop.url, 'alice');
  await page.evaluate((token) => {
    window.siteToken = token;
    window.chat.login();
  }, token);
  await wait(page, 'READY');
  await ask(page);
  await shows(page, 'Alice, you are a gold customer.');
  const { sid } = shop.presented.at(-1);

  await page.reload(); // the page knows no token any more, and the cookie still holds the session
  await wait(page, 'READY');
  await ask(page);
  await shows(page, 'Alice, you are a gold customer.');
  assert.equal(shop.presented.at(-1).sid, sid);
  assert.equal(context.pages().length, 1);
  assert.deepEqual(errors, []);
});

// siteSignIn signs a person in to the shop itself, as its own client of the issuer, and returns the ID token.
async function siteSignIn(context, issuer, shop, person) {
  const verifier = randomBytes(32).toString('base64url');
  const asked = {
    client_id: 'shop-web', response_type: 'code', scope: 'openid profile email', redirect_uri: `${shop}/signed-in`, state: 's',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  };
  const page = await context.newPage();
  await page.goto(`${issuer}/auth?${new URLSearchParams(asked)}`);
  await page.locator('input[name=login]').fill(person);
  await page.locator('input[name=password]').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.waitForURL(`${shop}/signed-in?**`);
  const code = new URL(page.url()).searchParams.get('code');
  await page.close();
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { Authorization: `Basic ${btoa('shop-web:chatpass-secret-at-the-issuer-0123456789')}` },
    body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: asked.redirect_uri, code_verifier: verifier }),
  });
  return (await answer.json()).id_token;
}
