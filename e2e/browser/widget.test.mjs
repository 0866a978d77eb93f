// What a chat widget documents of signing in, by its names, on the stand-in of the demo: at page load, midway,
// by its own Sign In button, at each key, when a context is refused, at the sign-out, for somebody else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demo, steps, until } from './chatpass.mjs';
import { launch } from './chromium.mjs';

// A page writes one of these; the commands it gives are in window.commands.
const atLoad = `chat.ready.then((who) => {
  const known = { ...settings, ...(who && { CustomerId: who.customerId, ContextProvider: chat.contextProvider }) };
  commanded('load', known);
  chat.attach(commanded, known);
});`;
const midway = `commanded('load', settings);
chat.attach(commanded, settings);`;
const wiring = (service, how, more = '') => `
const chat = Chatpass.create({ clientId: 'shop-web', authHost: '${service}', returnTo: location.origin + '/', ${more} });
const settings = { APIHostname: location.host, AppId: 'kettle-and-clay', UserLoginHandler: chat.userLoginHandler };
window.commands = [];
const commanded = (...command) => {
  commands.push(command);
  ASAPP(...command);
};
chat.on('usermismatch', () => (window.mismatch = true));
document.querySelector('#sign-out').onclick = () => chat.logout();
${how}`;

test('a chat widget signs people in as its vendor documents', { timeout: 240_000 }, async (t) => {
  const { shop, service, program } = await demo(t);
  const context = await (await launch(t)).newContext();
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const errors = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (err) => errors.push(err.message));
  await page.clock.install(); // time flows, and may leap
  const asked = [];
  context.on('request', (request) => request.method() === 'POST' && request.url() === `${service}/v1/context` && asked.push(request.postDataJSON().cause));

  const chat = page.frameLocator('#asapp-chat-sdk-iframe');
  const signIn = chat.getByRole('button', { name: 'Sign In' });
  const said = () => chat.locator('#log li').allInnerTexts();
  const answers = async () => (await said()).filter((line) => /, your balance is/.test(line));
  const answered = (name, n) => until(`${name} has ${n} answers`, async () => (await answers()).filter((line) => line.includes(name)).length === n && (await answers()).length === n);
  const commands = () => page.evaluate(() => window.commands.map(([name, settings]) => [name, settings?.CustomerId && 'known'].filter(Boolean).join(' ')));
  const askBalance = async () => {
    await chat.getByLabel('Your message').fill('What is my balance?');
    await chat.getByRole('button', { name: 'Send' }).click();
  };
  const opened = async () => {
    await page.locator('#asapp-chat-sdk-badge').waitFor();
    if (await page.locator('#asapp-chat-sdk-iframe').isHidden()) await page.locator('#asapp-chat-sdk-badge').click();
  };
  const visit = async (how, { more, before } = {}) => {
    await context.unrouteAll();
    await before?.();
    await context.route('**/wiring.js', (route) => route.fulfill({ contentType: 'text/javascript', body: wiring(service, how, more) }));
    await page.goto(shop);
  };
  const step = steps(t, async () => `page: ${await page.locator('#panel').innerText()}\nchat: ${await chat.locator('body').innerText().catch(String)}\nconsole: ${errors}\ndemo: ${program.said}`);

  await step('UserLoginHandler: from nobody to somebody known, and the conversation goes on', async () => {
    await visit(midway);
    await opened();
    await askBalance();
    await signIn.waitFor();
    const before = await said();
    const [window] = await Promise.all([page.waitForEvent('popup'), signIn.click()]);
    await Promise.all([window.waitForEvent('close'), window.getByRole('button', { name: 'Ada' }).click()]);
    await answered('Ada', 1);
    assert.deepEqual((await said()).slice(0, before.length), before);
    assert.deepEqual(await commands(), ['load', 'setCustomer known']);
    assert.deepEqual(errors, []);
  });

  await step('ContextProvider at each burst of keys: given at once, without a request', async () => {
    const count = () => page.evaluate(() => ASAPP.standIn.providerCalls);
    const [before, requests] = [await count(), asked.length];
    await page.clock.fastForward(1_500); // a pause begins another burst
    await chat.getByLabel('Your message').pressSequentially('What');
    await until('the widget has asked the page', async () => (await count()) > before);
    assert.equal(asked.length, requests);
    await chat.getByLabel('Your message').fill('');
  });

  await step('a context that is refused in the middle of the chat: needsRefresh brings another, and nobody is asked', async () => {
    await context.route('**/vendor/message', (route) => {
      const message = route.request().postDataJSON();
      message.context.Auth.Token += 'x'; // what the company's API refuses, it refuses
      return route.continue({ postData: JSON.stringify(message) });
    }, { times: 1 });
    await askBalance();
    await answered('Ada', 2);
    assert.equal(asked.at(-1), 'rejected');
    assert.equal(await signIn.isVisible(), false);
    assert.equal(context.pages().length, 1);
  });

  await step('at page load: load with CustomerId and ContextProvider, and nothing more', async () => {
    await visit(atLoad);
    await answered('Ada', 2); // the conversation of before
    await askBalance();
    await answered('Ada', 3);
    assert.deepEqual(await commands(), ['load known']);
    assert.deepEqual(asked.at(-1), 'load');
    assert.equal(context.pages().length, 1);
  });

  await step('midway: an anonymous chat first, and setCustomer when the credentials arrive', async () => {
    let arrive;
    const late = new Promise((resolve) => (arrive = resolve));
    await visit(midway, { before: () => context.route(`${service}/v1/context`, async (route) => {
      await late;
      await route.continue();
    }) });
    await opened();
    await chat.getByText('I am the shop’s assistant').waitFor();
    assert.deepEqual(await answers(), []);
    assert.deepEqual(await commands(), ['load']);
    arrive();
    await answered('Ada', 3);
    assert.deepEqual(await commands(), ['load', 'setCustomer known']);
  });

  await step('sign-out: unloadAndClearSession, and an anonymous chat begins', async () => {
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await until('the widget has begun again', async () => (await commands()).length === 4);
    assert.deepEqual((await commands()).slice(2), ['unloadAndClearSession', 'load']);
    await opened();
    await chat.getByText('I am the shop’s assistant').waitFor();
    assert.deepEqual(await answers(), []);
  });

  await step('UserLoginHandler by redirect: the conversation is there when the page comes back', async () => {
    await visit(midway, { more: 'redirect: true' });
    await opened();
    await askBalance();
    await signIn.click(); // the identity provider knows her
    await answered('Ada', 4);
    assert.deepEqual(await commands(), ['load', 'setCustomer known']);
    assert.equal(context.pages().length, 1);
  });

  await step('another account in another tab: the widget forgets the one before, and shows the other when the page says so', async () => {
    const other = await context.newPage();
    await other.goto(shop);
    const inTab = (state) => until(`the other tab is ${state}`, () => other.evaluate((state) => chat.state === state, state));
    await inTab('READY');
    const [window] = await Promise.all([other.waitForEvent('popup'), other.evaluate(() => void chat.login({ purpose: 'switch', prompt: 'login', redirect: false }))]);
    await window.getByRole('button', { name: 'Ben' }).click();
    await inTab('MISMATCH');
    await other.evaluate(() => chat.acceptCustomer());
    await inTab('READY');
    await until('the page hears of it', () => page.evaluate(() => window.mismatch));
    assert.deepEqual((await commands()).slice(-2), ['unloadAndClearSession', 'load']);
    await opened();
    await chat.getByText('I am the shop’s assistant').waitFor();
    assert.deepEqual(await answers(), []);
    await page.evaluate(() => chat.acceptCustomer());
    await until('the widget has a customer', async () => (await commands()).at(-1) === 'setCustomer known');
    await askBalance();
    await answered('Ben', 1);
  });
});
