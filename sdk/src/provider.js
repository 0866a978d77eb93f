import { PATIENCE, busy, degrade, due, fresh, lapsing, mayRetry, now, ready, since, troubled, usable } from './core.js';
import { active } from './page.js';
import { renew } from './renewal.js';
import { settled } from './states.js';

/** @import {Context, Core} from './core.js' */

const FORCED = 3;
const QUIET = 120;

/**
 * Gives a context: at once, or within 8 s, and never an expired one.
 * @param {Core} k
 * @param {boolean} [refused] The chat side refused this context: a renewal may help.
 * @returns {Context|undefined|Promise<Context|undefined>} Undefined: nobody is signed in, or nothing usable is in hand.
 */
export function give(k, refused) {
  const trouble = troubled(k);
  const forced = refused && k.ctx && !trouble && force(k, k.ctx);
  if (!forced && fresh(k)) {
    if (ready(k) && (due(k) || (lapsing(k) && active(k)))) renew(k, 'demand');
    return hand(k);
  }
  if (trouble ? !usable(k) && mayRetry(k) : k.ctx || k.state === 'INIT') renew(k, 'demand');
  return trouble || !busy(k) ? hand(k) : settled(k, PATIENCE).then(() => hand(k));
}

/** @param {Core} k */
function hand(k) {
  if (!usable(k)) {
    if (troubled(k) || k.asking) degrade(k, 'unreachable');
    return undefined;
  }
  k.handed = k.ctx?.jti;
  return k.ctx;
}

/**
 * Renews a refused context if that may help: one in 10 s, three, then one a minute until there was quiet.
 * Signing in again would not help and is never asked for.
 * @param {Core} k
 * @param {Context} ctx
 * @returns {boolean} false: nothing was done
 */
function force(k, { jti }) {
  if (k.asking) return true;
  if (since(k, k.refusedAt) > QUIET) k.forced = 0;
  k.refusedAt = now(k);
  if (since(k, k.forcedAt) < (k.forced < FORCED ? 10 : 60)) {
    degrade(k, 'rejected_loop');
    return false;
  }
  k.forced++;
  k.forcedAt = now(k);
  renew(k, 'rejected', jti);
  return true;
}
