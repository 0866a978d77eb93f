import { settle } from './answers.js';
import { fresh, now, random, ready, since, troubled } from './core.js';
import { active } from './page.js';
import { siteClaim } from './site.js';
import { go } from './states.js';
import { post } from './wire.js';

/** @import {Core} from './core.js' */
/** @import {State} from './chatpass.js' */

const TRIES = 6;
const LONGEST_PAUSE = 60;

/**
 * Asks for a context, or claims a finished sign-in. Whoever comes while a request is under way shares
 * its answer.
 * @param {Core} k
 * @param {string} cause
 * @param {string} [rejected] The jti that the chat side refused.
 */
export function renew(k, cause, rejected) {
  // READY with a request under way: another tab's context was taken over meanwhile.
  if (k.asking) return ready(k) ? go(k, underWay(k, rejected)) : undefined;
  k.tries = k.tries.filter(t => since(k, t) < k.window);
  if (!k.claim && k.tries.length >= TRIES) return rest(k, k.window - since(k, k.tries[0]));
  k.tries.push(now(k));
  ask(k, cause, rejected);
}

/** @param {Core} k @param {string} cause @param {string} [rejected] */
async function ask(k, cause, rejected) {
  const { claim, ctx, generation, raise } = k;
  const wish = { activity: ctx && active(k) ? 'active' : 'passive', cause: ctx ? cause : 'load', rejected_jti: rejected };
  k.asking = true;
  k.check = false;
  go(k, claim ? 'CHECKING' : underWay(k, rejected));
  const sent = now(k);
  const answer = await post(k, claim ? '/v1/session' : '/v1/context', claim?.site ? siteClaim(claim.site) : claim || { ...wish, ...(!raise?.needed && raise?.level) }, {
    ...k.wish,
    expected_customer: k.customer,
  });
  if (generation !== k.generation) return;
  k.asking = false;
  settle(k, answer, claim, sent);
}

/** @param {Core} k @param {string} [rejected] @returns {State} */
function underWay(k, rejected) {
  if (fresh(k) && !rejected) return 'RENEWING';
  return k.ctx || troubled(k) ? 'STALE' : 'CHECKING';
}

/**
 * Nothing was learnt: the next try comes later, with full jitter.
 * @param {Core} k
 * @param {number} after Seconds to wait at least.
 */
export function backOff(k, after) {
  const pause = Math.max(random(k, Math.min(2 ** k.fails++, LONGEST_PAUSE)), after + random(k, after / 2));
  rest(k, after, pause, k.env.navigator.onLine ? 'BACKOFF' : 'OFFLINE');
}

/** @param {Core} k @param {number} floor @param {number} [pause] @param {State} [state] */
function rest(k, floor, pause = floor, state = 'BACKOFF') {
  k.failed = now(k);
  k.floor = floor;
  k.pause = pause;
  go(k, state);
}

/** What is under way does not count any more. @param {Core} k */
export function calm(k) {
  k.generation++;
  k.asking = k.check = false;
  k.claim = undefined;
  k.fails = 0;
}
