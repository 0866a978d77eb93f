/** @import {Events} from './chatpass.js' */

/**
 * What the person is told, by the name of its words, and what the button does: `login`, `accept` whoever is
 * signed in, or nothing. `detail` is for whoever helps them. In the states that `stays` names it goes on to be true.
 * @typedef {{text: string, button?: string, act?: 'login'|'accept', detail?: string, stays?: RegExp}} Notice
 */

/** The person, or the page, decided so: there is nothing to tell them. */
const CHOSEN = /access_denied|abandoned|logged_out|no_session/;

/** @param {string} text @param {string} button @returns {Notice} */
const ask = (text, button) => ({ text, button, act: 'login' });

/** Why nobody is signed in, or not any more. @param {string} reason @param {string} otherwise @returns {Notice|undefined} */
function needed(reason, otherwise) {
  if (CHOSEN.test(reason)) return undefined;
  if (reason === 'window_closed' || reason === 'txn_expired') return ask('closed', 'again');
  if (reason === 'temporarily_unavailable') return ask('unavailable', 'again');
  if (reason === 'server_error') return ask('failed', 'again');
  return otherwise ? ask(otherwise, 'signIn') : undefined;
}

/** A refusal for good. @param {Events['error']|undefined} fault @returns {Notice} */
function refused({ error, code, requestId } = { error: '' }) {
  if (error === 'access_denied') return ask('denied', 'another');
  return { text: 'broken', detail: [code, requestId].filter(Boolean).join(' ') };
}

/**
 * What a state asks of the person.
 * @param {Events['state']} event
 * @param {Events['error']} [fault] The latest refusal for good.
 * @returns {Notice|undefined} Nothing: all is well, or the widget itself says what is to do.
 */
export function need({ state, reason = '' }, fault) {
  switch (state) {
    case 'POPUP_BLOCKED':
      return ask('blocked', 'go');
    case 'LOGIN_PENDING':
    case 'STEP_UP_PENDING':
      return ask('pending', 'window');
    case 'STEP_UP_NEEDED':
      return ask('confirm', 'prove');
    case 'MISMATCH':
      return { text: 'other', button: 'accept', act: 'accept' };
    case 'ANON':
      return needed(reason, '');
    case 'LOGIN_NEEDED':
      return needed(reason, reason ? 'ended' : 'please');
    case 'SIGNED_OUT':
      return reason === 'user_disabled' ? { text: 'barred' } : needed(reason, 'out');
    case 'FATAL':
      return refused(fault);
    default:
      return undefined;
  }
}

const WITHOUT = /INIT|CHECKING|STALE|RENEWING|BACKOFF|OFFLINE/;
const SIGNED_IN = /READY|CHECKING|STALE|RENEWING|BACKOFF|OFFLINE/;

/** What the person should know although all goes on. @param {string} reason @returns {Notice|undefined} */
export function trouble(reason) {
  if (reason === 'unreachable') return { text: 'unreachable', stays: WITHOUT };
  return reason === 'cookies_blocked' ? { text: 'forgetful', stays: SIGNED_IN } : undefined; // a widget whose contexts are refused says so itself
}

/** The page wants somebody to sign in. @returns {Notice} */
export const please = () => ({ ...ask('please', 'signIn'), stays: /ANON|SIGNED_OUT|INIT|CHECKING|BACKOFF|OFFLINE/ });

/** The session ends soon. @returns {Notice} */
export const expiring = () => ({ ...ask('expiring', 'signIn'), stays: SIGNED_IN });
