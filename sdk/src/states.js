import { busy, due, fresh, mayRetry, random, ready, since } from './core.js';
import { cancel, plan, visible } from './page.js';
import { renew } from './renewal.js';
import { giveUp } from './session.js';
import { look } from './signin.js';

/** @import {Core} from './core.js' */
/** @import {State} from './chatpass.js' */

/** Nothing is under way, but a sign-in elsewhere may change that. */
export const IDLE = /ANON|LOGIN_NEEDED|POPUP_BLOCKED|READY|STEP_UP/;
/** Only the page or the person leads out. */
export const CLOSED = /SIGNED_OUT|MISMATCH|FATAL/;

const HEARTBEAT = 15;
const EXPIRING = 300;

/** @param {Core} k @param {State} state @param {string} [reason] */
export function go(k, state, reason) {
  const { state: from, raise } = k;
  if (state === 'READY' && raise?.needed) state = k.popup ? 'STEP_UP_PENDING' : 'STEP_UP_NEEDED';
  k.state = state;
  schedule(k);
  if (!busy(k)) {
    k.waiting.forEach(release => release());
    k.waiting.clear();
  }
  if (state !== from) k.emit('state', { state, from, reason });
}

/**
 * Resolves when nothing is under way, or after so many milliseconds.
 * @param {Core} k
 * @param {number} [ms]
 * @returns {Promise<void>}
 */
export const settled = (k, ms) => new Promise(resolve => {
  if (!busy(k)) return resolve();
  k.waiting.add(resolve);
  if (ms) k.env.setTimeout(resolve, ms);
});

/** Plans what a state does by itself, in a tab that is seen. @param {Core} k */
export function schedule(k) {
  const { state, ctx } = k;
  cancel(k);
  if (state === 'BACKOFF') plan(k, k.pause - since(k, k.failed), 'timer');
  else if (k.check && IDLE.test(state)) plan(k, random(k, 2), 'wake');
  // Never later than a heartbeat: its absence shows that the machine slept.
  else if (ready(k) && ctx) plan(k, Math.min(ctx.renew_in - since(k, ctx.sent), HEARTBEAT), 'timer');
}

/** Does what was planned. @param {Core} k @param {string} cause */
export function tick(k, cause) {
  const { ctx } = k;
  const left = ctx ? ctx.ends - since(k, ctx.sent) : Infinity;
  if (left <= EXPIRING && k.told !== ctx?.sid) {
    k.told = ctx?.sid;
    k.emit('expiring', { expiresIn: Math.max(0, left) });
  }
  ready(k) && !due(k) ? schedule(k) : renew(k, cause);
}

/** The tab is seen again, or the machine woke. @param {Core} k */
export function wake(k) {
  look(k);
  const { state } = k;
  if (state === 'LOGIN_PENDING' && !k.popup) return giveUp(k, 'abandoned'); // back from a redirect, by the back button
  if (ready(k) && due(k) && fresh(k)) return plan(k, random(k, 1), 'wake');
  const lost = state === 'OFFLINE' ? k.env.navigator.onLine : state === 'BACKOFF' && mayRetry(k);
  const wanted = (ready(k) || state === 'INIT') && due(k);
  lost || wanted ? renew(k, 'wake') : schedule(k);
}

/** Looks for a session as soon as the tab is seen. @param {Core} k */
export function begin(k) {
  if (k.state !== 'INIT') return;
  k.check = true;
  if (visible(k)) renew(k, 'load');
}
