// An independent identity provider: npm oidc-provider, certified by the OpenID Foundation, with its
// own sign-in form, sign-out and back-channel logout. Nothing of chatpass is imported here.
import http from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';
import { Operator } from './operator.mjs';

// start listens on a free loopback port, or on port if given.
//
//   clients  registered clients, in the names of OpenID Connect Dynamic Client Registration
//   groups   groups by account name; an account that is not named has none
//   idToken  lifetime of ID tokens in seconds
//
// Any account name signs in with any password. The sub of alice is "alice".
export async function start({ clients, groups = {}, idToken = 300, port = 0 }) {
  const server = http.createServer();
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  const issuer = `http://localhost:${server.address().port}`;
  const operator = new Operator();
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys: await Promise.all(['RS256', 'ES256'].map(signingKey)) },
    claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: false, // claims of the scopes in the ID token, as most issuers send them
    findAccount: (_, sub) => operator.isDisabled(sub) ? undefined : { accountId: sub, claims: () => person(sub, groups[sub]) },
    loadExistingGrant: consentGiven,
    cookies: { keys: [crypto.randomUUID()] },
    ttl: { IdToken: idToken, Session: 3600, Grant: 3600, Interaction: 600, AccessToken: 600, AuthorizationCode: 60, RefreshToken: 3600 },
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'), // nobody has to consent
    rotateRefreshToken: true,
    fetch: withoutPublicAddressRule,
    features: {
      devInteractions: { enabled: true },
      backchannelLogout: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource: logoutPage },
    },
  });
  provider.on('backchannel.error', (_, err, client) => console.error(`back-channel logout of ${client.clientId}: ${err.message}`));
  provider.on('server_error', (_, err) => console.error(err));
  operator.watch(provider);
  const answer = provider.callback();
  server.on('request', (req, res) => operator.handle(req, res) || answer(req, res));
  return {
    issuer,
    provider,
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

async function signingKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `op-${alg}` };
}

function person(sub, groups = []) {
  const name = sub[0].toUpperCase() + sub.slice(1);
  return { sub, name, email: `${sub}@example.com`, email_verified: true, groups };
}

// A company's own applications ask nobody for consent.
async function consentGiven(ctx) {
  const grant = new ctx.oidc.provider.Grant({ accountId: ctx.oidc.session.accountId, clientId: ctx.oidc.client.clientId });
  grant.addOIDCScope('openid email profile offline_access');
  await grant.save();
  return grant;
}

// oidc-provider sends logout tokens to public addresses only, by a dispatcher; here all is loopback.
function withoutPublicAddressRule(url, { dispatcher, ...options }) {
  return fetch(url, options);
}

function logoutPage(ctx, form) {
  ctx.body = `<!doctype html><title>Sign out</title>${form}
<button type="submit" form="op.logoutForm" name="logout" value="yes">Sign me out</button>`;
}
