// What a newcomer sees: `chatpass demo`, in a real browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demo, steps, until } from './chatpass.mjs';
import { launch } from './chromium.mjs';

test('the demo keeps its promise', { timeout: 240_000 }, async (t) => {
  const { shop, issuer, service, program } = await demo(t);
  const context = await (await launch(t)).newContext();
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const errors = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (err) => errors.push(err.message));
  await page.clock.install(); // time flows; the steps below make it leap, as for a computer that slept

  const chat = page.frameLocator('#asapp-chat-sdk-iframe');
  const answers = () => chat.locator('#log li', { hasText: 'Ada, your balance is' }).count();
  const signIn = chat.getByRole('button', { name: 'Sign In' });
  const claim = (name) => page.locator(`#claims dt:text-is("${name}") + dd`).textContent();
  const askBalance = async () => {
    await chat.getByLabel('Your message').fill('What is my balance?');
    await chat.getByRole('button', { name: 'Send' }).click();
  };
  const answered = (n) => until(`there are ${n} answers`, async () => (await answers()) === n);
  const signInAs = async (name) => {
    const [popup] = await Promise.all([page.waitForEvent('popup'), signIn.click()]);
    await Promise.all([popup.waitForEvent('close'), popup.getByRole('button', { name }).click()]);
  };
  const step = steps(t, async () => `page: ${await page.locator('#panel').innerText()}\nchat: ${await chat.locator('body').innerText().catch(String)}\nconsole: ${errors}\ndemo: ${program.said}`);

  await step('an anonymous chat, with no error and no prompt', async () => {
    await page.goto(shop);
    await page.locator('#asapp-chat-sdk-badge').click();
    await chat.getByText('I am the shop’s assistant').waitFor();
    await until('the panel shows nobody', async () => (await page.locator('#state').textContent()) === 'ANON');
    assert.deepEqual(errors, []);
    assert.equal(context.pages().length, 1);
  });

  await step('an account question offers Sign In, and the popup leads to the answer', async () => {
    await askBalance();
    await signIn.waitFor();
    await signInAs('Ada');
    await answered(1);
    await chat.getByText('gold customer').waitFor();
  });

  const customer = await claim('sub');
  await step('the context is renewed by itself before it expires', async () => {
    const first = await claim('jti');
    await page.clock.runFor(75_000);
    await until('another context is in hand', async () => (await claim('jti')) !== first);
  });

  await step('the computer sleeps until the context has expired: the chat goes on, and nobody is asked', async () => {
    const before = await claim('jti');
    await page.clock.fastForward(300_000);
    await askBalance();
    await answered(2);
    assert.notEqual(await claim('jti'), before);
    assert.equal(await signIn.isVisible(), false);
    assert.equal(context.pages().length, 1);
  });

  await step('the session ends at the identity provider: the chat asks for Sign In', async () => {
    const operator = await context.newPage();
    await operator.goto(`${issuer}/operator`);
    await operator.getByRole('button', { name: 'End session of Ada' }).click();
    await operator.getByRole('button', { name: 'End session of Ada' }).and(operator.locator(':disabled')).waitFor();
    await operator.close();
    await page.clock.fastForward(120_000); // what is in hand works until it expires
    await until('the chat has forgotten Ada', async () => (await page.locator('#no-context').isVisible()));
    await page.locator('#asapp-chat-sdk-badge').waitFor();
    if (await page.locator('#asapp-chat-sdk-iframe').isHidden()) await page.locator('#asapp-chat-sdk-badge').click();
    await askBalance();
    await signIn.waitFor();
  });

  await step('signed in again, the same conversation goes on', async () => {
    await signInAs('Ada');
    await answered(3);
    assert.equal(await claim('sub'), customer);
  });

  await step('signed out, the chat is anonymous again', async () => {
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await until('the panel shows nobody', () => page.locator('#no-context').isVisible());
    if (await page.locator('#asapp-chat-sdk-iframe').isHidden()) await page.locator('#asapp-chat-sdk-badge').click();
    await askBalance();
    await signIn.waitFor();
    assert.equal(await answers(), 0, 'nothing of Ada is left on the screen');
  });

  await step('the service is an issuer that anybody can verify by', async () => {
    const metadata = await (await fetch(`${service}/.well-known/oauth-authorization-server`)).json();
    assert.equal(metadata.issuer, service);
    assert.ok((await (await fetch(metadata.jwks_uri)).json()).keys.length > 0);
  });

  await step('Ctrl-C ends it cleanly', async () => {
    program.kill('SIGINT');
    assert.equal(await program.ended, 0);
  });
});
