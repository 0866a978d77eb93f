import { now, random, ready, since } from './core.js';
import { go, tick, wake } from './states.js';

/** @import {Core} from './core.js' */

const SLEPT = 30;
const INPUT_COUNTS = 60;

/** @param {Core} k */
export const visible = ({ env }) => env.document.visibilityState === 'visible';

/** Somebody did something since the last renewal or so: a minute alone would miss most of what people do. @param {Core} k */
export const active = k => since(k, k.input) <= Math.max(INPUT_COUNTS, k.ctx?.renew_in || 0);

/** Somebody did something just now. @param {Core} k */
export const touch = k => void (k.input = now(k));

/** @param {Core} k */
export const cancel = k => k.env.clearTimeout(k.timer);

/**
 * Ticks after so many seconds, unless the tab is hidden; the plan before is dropped.
 * @param {Core} k
 * @param {number} seconds
 * @param {string} cause
 */
export function plan(k, seconds, cause) {
  const wait = Math.max(0, seconds);
  const planned = now(k);
  const slept = () => since(k, planned) > wait + SLEPT;
  cancel(k);
  if (visible(k)) k.timer = k.env.setTimeout(() => (slept() ? wake(k) : tick(k, cause)), wait * 1000);
}

/** Listens to the page. @param {Core} k */
export function listen(k) {
  const { env } = k;
  /** @param {EventTarget} target @param {string} names @param {(e: Event) => void} fn */
  const on = (target, names, fn) => names.split(' ').forEach(name => target.addEventListener(name, fn, true));
  const seen = () => (visible(k) ? wake(k) : cancel(k));
  on(env.document, 'visibilitychange resume', seen);
  on(env, 'focus pageshow', seen);
  on(env, 'online', () => k.state === 'OFFLINE' && plan(k, random(k, 2), 'online'));
  on(env, 'offline', () => (k.asking || k.fails || ready(k)) && go(k, 'OFFLINE'));
  on(env, 'pointerdown keydown', e => e.isTrusted && touch(k));
}
