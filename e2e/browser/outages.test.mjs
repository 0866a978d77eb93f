// The failure table beyond the network: the identity provider is down, a person is disabled there, an operator
// ends a session, the browser crashes, starts again or keeps no cookies. Who is signed in notices nothing that
// does not concern them, and whoever has to sign in can always begin again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { steps, until } from './chatpass.mjs';
import { everyday } from './chromium.mjs';
import { ask, company, enter, events, inState, popup, shows, signIn, state, welcome } from './company.mjs';

const report = ({ page, service }) => async () => `page: ${await page.locator('body').innerText()}\nservice: ${service.said}`;
const told = (page) => page.evaluate(() => window.told);
const reasons = (page) => page.evaluate(() => window.reasons);

// operates lets the identity provider do what an operator says.
const operates = ({ issuer }, orders) => fetch(`${issuer.issuer}/operator`, { method: 'POST', body: JSON.stringify(orders) });

// forgets waits until the page has lost its customer for that reason, and the widget has forgotten them.
async function forgets(page, reason) {
  await until(`the person is told ${reason}`, async () => {
    await ask(page);
    return (await events(page)).includes(`logout {"reason":"${reason}"}`);
  });
  assert.deepEqual((await told(page)).filter((command) => command !== 'setCustomer').slice(-2), ['unloadAndClearSession', 'load']);
  await ask(page);
  await shows(page, 'Please sign in.');
}

test('the identity provider is down, or says no', { timeout: 240_000 }, async (t) => {
  const all = await company(t, { lifetime: '2s', session: '{liveness: 2s, liveness_grace: 6s}', refresh: true, down: true });
  const { page, context, issuer, service, shop } = all;
  const step = steps(t, report(all));
  let customer;

  await step('it was never reached: the sign-in window says so, and tries again on a click', async () => {
    await ask(page);
    const opened = await popup(page);
    await opened.getByText('Sign-in is unavailable at the moment').waitFor();
    await opened.getByRole('link', { name: 'Try again' }).click();
    await opened.getByText('Sign-in is unavailable at the moment').waitFor();
    assert.equal(await state(page), 'LOGIN_PENDING');
    await issuer.begin();
    await until('the identity provider asks who is there', async () => {
      if (await opened.locator('input[name=login]').isVisible()) return true;
      await opened.getByRole('link', { name: 'Try again' }).click();
    });
    await enter(opened, 'alice');
    await shows(page, welcome);
    customer = shop.presented.at(-1).sub;
  });

  await step('it goes down: who is signed in chats on (G12)', async () => {
    await operates(all, { token: 'down' });
    const since = Date.now() / 1000;
    await until('a context is believed that is newer than any good answer may be', async () => {
      await ask(page);
      assert.equal(await signIn(page).isVisible(), false);
      return shop.presented.at(-1).iat > since + 3;
    });
    assert.equal(context.pages().length, 1);
  });

  await step('who signs in meanwhile is told that it is unavailable, and the next click works when it is not', async () => {
    const other = await (await all.browser.newContext()).newPage();
    await other.goto(shop.url);
    await ask(other);
    const opened = await popup(other);
    await opened.locator('input[name=login]').fill('bob');
    await opened.locator('input[name=password]').fill('any');
    await opened.getByRole('button', { name: 'Sign-in' }).click();
    await opened.getByText('Sign-in is unavailable at the moment').waitFor();
    await until('the page hears of it', async () => /temporarily_unavailable/.test(await events(other)));
    await operates(all, { token: 'works' });
    await signIn(other).click();
    await shows(other, 'Bob, you are a standard customer.'); // the identity provider knows him already
    await other.context().close();
  });

  await step('an operator ends the session: the widget forgets the person', async () => {
    await page.evaluate(() => {
      window.reasons = [];
      window.chat.on('state', ({ state, reason }) => window.reasons.push([state, reason]));
    });
    service.operate('sessions', 'revoke', '--customer', customer);
    await forgets(page, 'revoked');
    await popup(page);
    await shows(page, welcome);
  });

  await step('the person is disabled there: the widget forgets them', async () => {
    await operates(all, { disabled: ['alice'] });
    await forgets(page, 'idp_logout'); // it says that the sign-in stands no more, and not why
    await operates(all, { disabled: [] });
    await popup(page);
    await shows(page, welcome);
  });

  await step('it is down for longer than the grace: the sign-in is needed, and what was said stays on the screen', async () => {
    const commands = await told(page);
    await operates(all, { token: 'down' });
    await inState(page, 'LOGIN_NEEDED');
    assert.deepEqual((await reasons(page)).at(-1), ['LOGIN_NEEDED', 'idp_unreachable']);
    assert.deepEqual(await told(page), commands);
  });
});

test('a browser that keeps no cookies of the service', { timeout: 120_000 }, async (t) => {
  const without = (url) => ({ profile: { content_settings: { exceptions: { cookies: { [`${url},*`]: { setting: 2 } } } } } });
  const all = await company(t, { open: (t, url) => everyday(t, without(url))() });
  const { page, errors } = all;
  await ask(page);
  await shows(page, 'Please sign in.');
  const opened = await popup(page);
  await opened.locator('input[name=login]').fill('alice');
  await opened.locator('input[name=password]').fill('any');
  await opened.getByRole('button', { name: 'Sign-in' }).click();
  await opened.getByText('This sign-in is no longer open').waitFor();
  await opened.close();
  await inState(page, 'LOGIN_NEEDED', 'ANON');
  await ask(page);
  await shows(page, 'Please sign in.');
  assert.deepEqual(errors, []);
  await (await popup(page)).waitForURL(/interaction|callback/); // nothing of the first is in the way
});
