import { hold, lower, random, troubled } from './core.js';
import { calm, renew } from './renewal.js';
import { start } from './signin.js';
import { askSite } from './site.js';
import { go } from './states.js';
import { forget } from './widget.js';
import { post } from './wire.js';

/** @import {SignInOptions, State} from './chatpass.js' */
/** @import {Core} from './core.js' */
/** @import {Claim} from './signin.js' */

const LOGOUT_TRIES = 4;

/** @param {Core} k @param {SignInOptions} [ask] @returns {State} */
export function login(k, ask) {
  const { raise, site } = k;
  if (site) {
    site.wanted = true;
    site.asked = 1;
    askSite(k, site);
    return k.state;
  }
  if (k.state === 'INIT' || troubled(k)) k.check = true;
  const higher = raise?.needed && k.ctx && { ...raise.level, purpose: 'step_up' };
  const begun = start(k, { ...k.hint, ...higher, ...ask });
  if (higher && raise) raise.txn = k.popup?.txn;
  go(k, higher ? 'READY' : begun ? 'LOGIN_PENDING' : 'POPUP_BLOCKED');
  return k.state;
}

/** The person signed in: claims the session. @param {Core} k @param {Claim} claim */
export function redeem(k, claim) {
  calm(k);
  k.claim = claim;
  k.tried = false;
  renew(k, 'login');
}

/**
 * A sign-in ended without a session, or seems to.
 * @param {Core} k
 * @param {string} error
 * @param {boolean} [needed] The person did not decide against it.
 */
export function giveUp(k, error, needed) {
  k.emit('login', { customerId: null, error });
  if (k.raise?.needed) lower(k, error);
  if (/_PENDING/.test(k.state)) go(k, k.ctx ? 'READY' : needed || k.customer ? 'LOGIN_NEEDED' : 'ANON', error);
}

/**
 * The session is over.
 * @param {Core} k
 * @param {boolean} [gone] The widget must forget the person.
 * @param {string} [reason]
 */
export function end(k, gone, reason) {
  calm(k);
  hold(k);
  if (!gone) return go(k, 'LOGIN_NEEDED', reason);
  forget(k);
  go(k, 'SIGNED_OUT', reason);
  k.emit('logout', { reason });
}

/**
 * @param {Core} k
 * @param {'local'|'global'} scope
 * @returns {Promise<{endSessionUrl: string|null}>}
 */
export async function logout(k, scope) {
  k.tell({ kind: 'logout' });
  end(k, true, 'logged_out');
  for (let n = 0; n < LOGOUT_TRIES; n++) {
    const { kind, body, after = 0 } = await post(k, '/v1/logout', { scope, return_to: k.cfg.returnTo }, {}, true);
    if (kind === 'ok') return { endSessionUrl: body.end_session_url };
    if (kind !== 'later') break;
    await new Promise(next => k.env.setTimeout(next, (after + random(k, 2 ** n)) * 1000));
  }
  k.emit('error', { error: 'logout_unconfirmed' });
  return { endSessionUrl: null };
}
