// A company with everything running: an identity provider that others wrote (npm oidc-provider), the service,
// a shop page of our own, and a browser on it.
import http from 'node:http';
import { start as startIssuer } from '../op/op.mjs';
import { freeAddress, serve, until, urlOf } from './chatpass.mjs';
import { launch } from './chromium.mjs';
import { audience, open as openShop } from './shop.mjs';

const secret = 'chatpass-secret-at-the-issuer-0123456789';

// company is everything running, and a browser on the shop's page at path; contexts live for lifetime. With
// proxied, browsers know the service as a path on the shop's own origin alone. With partners, people may also
// sign in with a second identity provider. With across, the shop is on another site than the service. Sessions are as the
// configuration says in session; with refresh, the identity provider gives refresh tokens; with down, it is down until
// issuer.begin() is called. The browser is what open starts, given the URL of the service.
export async function company(t, { path = '/', lifetime = '20s', proxied = false, partners = false, across = false, session = '{}', refresh = false, down = false, open = launch } = {}) {
  const [listen, shopAddress, issuerAddress] = [await freeAddress(), await freeAddress(), await freeAddress()];
  const shopURL = across ? `http://${shopAddress}` : urlOf(shopAddress);
  const back = across ? '/signed-in' : '/';
  const url = proxied ? `${shopURL}/chat-auth` : urlOf(listen);
  const clientOf = (name) => ({
    client_id: 'chatpass', client_secret: secret, grant_types: ['authorization_code', ...(refresh ? ['refresh_token'] : [])],
    redirect_uris: [`${url}/v1/login/callback/${name}`],
    post_logout_redirect_uris: [`${url}/v1/logout/callback`],
    backchannel_logout_uri: `${url}/v1/backchannel-logout/${name}`, backchannel_logout_session_required: true,
  });
  const site = { client_id: 'shop-web', client_secret: secret, redirect_uris: [`${shopURL}/signed-in`] };
  const begin = () => startIssuer({ port: Number(issuerAddress.split(':')[1]), groups: { alice: ['gold'] }, clients: [clientOf('corp'), site] });
  const issuer = down ? { issuer: urlOf(issuerAddress), begin: async () => Object.assign(issuer, await begin()), stop() {} } : await begin();
  t.after(() => issuer.stop());
  const second = partners && (await startIssuer({ clients: [clientOf('partners')] }));
  if (second) t.after(() => second.stop());
  const service = await serve(t, listen, { CORP_SECRET: secret }, `
dangerously_short_lifetimes: true
trusted_proxies: [127.0.0.1/32]
cookie: ${across ? 'cross-site' : 'same-site'}
issuers:
  corp:
    issuer: ${issuer.issuer}
    client_id: chatpass
    client_secret: env:CORP_SECRET
    scopes: [openid, profile, email]
    label: Example Corp${second ? `
  partners: {issuer: ${second.issuer}, client_id: chatpass, client_secret: env:CORP_SECRET, scopes: [openid, profile, email]}` : ''}
apps:
  support:
    audience: [${audience}]
    issuers: [corp${second ? ', partners' : ''}]
    origins: [${shopURL}]
    return_to: [${shopURL}${back}]
    admit: has(claims.email)
    claims: {name: claims.name, tier: "'gold' in claims.groups ? 'gold' : 'standard'"}
    scopes: [chat:read]
    context_lifetime: ${lifetime}
    session: ${session}
    clients:
      support-web: {type: browser, accepts: {corp: [shop-web]}}
`, url);
  const shop = { ...(await openShop(t, shopAddress, url, { behind: proxied && listen, back })), url: shopURL };
  const browser = await open(t, url);
  const context = browser.contexts()[0] ?? (await browser.newContext());
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const errors = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (err) => errors.push(err.message));
  await page.goto(shop.url + path);
  return { page, context, browser, shop, issuer, service, url, errors };
}

// signedIn is a company with alice at the shop.
export async function signedIn(t, options) {
  const all = await company(t, options);
  await ask(all.page);
  await enter(await popup(all.page), 'alice');
  await shows(all.page, welcome);
  return all;
}

export const welcome = 'Alice, you are a gold customer.';
export const state = (page) => page.evaluate(() => window.chat.state);
export const inState = (page, ...wanted) => until(`the state is ${wanted.join(' or ')}`, async () => wanted.includes(await state(page)));
export const events = (page) => page.locator('#events').textContent();
export const ask = (page) => page.getByRole('button', { name: 'Which orders are mine?' }).click();
export const signIn = (page) => page.getByRole('button', { name: 'Sign In' });
export const shows = (page, text) => until(`the page says "${text}"`, async () => (await page.locator('#answer').textContent()).includes(text));

// popup clicks Sign In and returns the window that opens.
export async function popup(page) {
  const [opened] = await Promise.all([page.waitForEvent('popup'), signIn(page).click()]);
  return opened;
}

export async function enter(window, person) {
  await window.locator('input[name=login]').fill(person);
  await window.locator('input[name=password]').fill('any');
  await Promise.all([window.waitForEvent('close'), window.getByRole('button', { name: 'Sign-in' }).click()]);
}

// stranger serves somebody else's page on a port of its own, under every name of this machine.
export async function stranger(t, body = '<title>evil</title>') {
  const [host, port] = (await freeAddress()).split(':');
  const server = http.createServer((_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(`<!doctype html>${body}`));
  await new Promise((resolve) => server.listen(port, host, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { foreign: `http://127.0.0.1:${port}/`, sibling: `http://evil.localhost:${port}/` };
}
