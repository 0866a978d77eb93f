import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RejectedError } from '../src/verifier.mjs';
import { Issuer } from './issuer.mjs';

const hour = 3600;
const chat = (conversation) => ({ ver: 1, app: 'support', conversation });

/** The good context's customer signed in an hour before, at level gold, and chats in conversation k-1. */
const good = (issuer, change = {}) => issuer.context({ auth_time: issuer.seconds - hour, acr: 'gold', chat: chat('k-1'), ...change });

/** Why a context is refused; undefined if it is accepted. */
const reason = (verifier, token) => verifier.verify(token).then(() => undefined, (err) => err instanceof RejectedError ? err.reason : err);

test('demands', async () => {
  const issuer = new Issuer();
  const sooner = 'insufficient_authentication';
  for (const [name, demand, change, want] of [
    ['nothing', {}, { chat: chat() }],
    ['a level that it has', { acr: ['platinum', 'gold'] }],
    ['another level', { acr: ['platinum'] }, {}, sooner],
    ['a level in capitals', { acr: ['GOLD'] }, {}, sooner],
    ['a level, none said', { acr: ['gold'] }, { acr: undefined }, sooner],
    ['no level, none said', { acr: [] }, { acr: undefined }],
    ['signed in just lately enough', { maxAuthAge: hour - 60 }],
    ['signed in too long ago', { maxAuthAge: hour - 61 }, {}, sooner],
    ['signed in at a time unknown', { maxAuthAge: hour }, { auth_time: undefined }, sooner],
    ['a time unknown, any will do', { maxAuthAge: 0 }, { auth_time: undefined }],
    ['a conversation', { conversation: true }],
    ['a conversation, bound to none', { conversation: true }, { chat: chat() }, 'unbound'],
    ['a conversation without a name', { conversation: true }, { chat: chat('') }, 'unbound'],
    ['a scope that it has', { scopes: ['chat:read'] }],
    ['a scope before a level', { scopes: ['admin'], acr: ['platinum'] }, {}, 'insufficient_scope'],
  ]) {
    const token = await good(issuer, change);
    for (const verifier of [issuer.verifier({ demand }), issuer.verifier().require(demand)]) {
      assert.equal(await reason(verifier, token), want, name);
    }
  }
});

test('the leeway is the verifier\'s', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier({ leeway: 0 }).require({ maxAuthAge: hour - 1 });
  assert.equal(await reason(verifier, await good(issuer)), 'insufficient_authentication');
});

test('a context without auth_time is told so', async () => {
  const issuer = new Issuer();
  await assert.rejects(issuer.verifier({ demand: { maxAuthAge: 1 } }).verify(await issuer.context()), /does not say when/);
});

test('a handler\'s demands are its own, its keys everybody\'s', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier({ requiredScopes: ['chat:read'] });
  const token = await good(issuer);
  const [one, other] = [verifier.require({ scopes: ['admin'] }), verifier.require({ acr: ['gold'] })];
  assert.deepEqual([await reason(verifier, token), await reason(one, token), await reason(other, token)], [undefined, 'insufficient_scope', undefined]);
  assert.equal(await reason(other.require({ acr: ['platinum'] }), token), 'insufficient_authentication');
  assert.equal(await reason(other, await good(issuer, { scope: 'chat:write' })), 'insufficient_scope');
  assert.equal(issuer.times('/jwks.json'), 1);
});

test('who lacks scopes is told all of them', async () => {
  const issuer = new Issuer();
  const verifier = issuer.verifier({ requiredScopes: ['chat:read'] }).require({ scopes: ['admin'] });
  await assert.rejects(verifier.verify(await good(issuer)), (err) => {
    assert.deepEqual(err.demand, { scopes: ['chat:read', 'admin'] });
    return true;
  });
});

test('what nothing can meet is no demand', () => {
  const verifier = new Issuer().verifier();
  for (const demand of [{ scopes: ['a b'] }, { acr: [''] }, { acr: ['a b'] }, { acr: ['a"'] }, { maxAuthAge: -1 }, { maxAuthAge: NaN }]) {
    assert.throws(() => verifier.require(demand), TypeError, JSON.stringify(demand));
  }
  assert.throws(() => verifier.middleware('a"\r\nSet-Cookie: x=y'), TypeError);
});
