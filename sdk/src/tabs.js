import { hold, now, random, remaining, since } from './core.js';
import { end } from './session.js';
import { conclude } from './signin.js';
import { CLOSED, IDLE, go, schedule } from './states.js';

/** @import {Context, Core, Env} from './core.js' */

/**
 * What tabs of one client and origin tell each other:
 * `ctx` a new context of session sid · `ended` the service said that session sid is over ·
 * `logout` the person signed out of this browser · `session_changed` a sign-in started session sid ·
 * `mismatch` the browser's session is not, or no more, that of customer · `login` what a popup came to that lost its opener.
 * @typedef {object} Message
 * @property {'ctx'|'ended'|'logout'|'session_changed'|'mismatch'|'login'} kind
 * @property {string} [sid]
 * @property {string} [customer]
 * @property {boolean} [gone] The widget must forget the person.
 * @property {string} [reason]
 * @property {string} [like] What the sender shares its contexts by.
 * @property {string|null} [txn]
 * @property {string|null} [error]
 * @property {string|null} [code]
 * @property {Context} [given]
 * @property {number} [past] Seconds since the context was asked for.
 */

/** Milliseconds since the epoch, by both clocks. @param {Env} env */
const stamp = ({ Date, performance }) => [Date.now(), performance.timeOrigin + performance.now()];

/**
 * Opens the channel between the tabs; without BroadcastChannel every tab is on its own.
 * @param {Core} k
 * @returns {Core['tell']}
 */
export function openTabs(k) {
  const { env } = k;
  if (!env.BroadcastChannel) return () => {};
  const channel = new env.BroadcastChannel('chatpass:' + k.cfg.clientId);
  channel.onmessage = ({ data }) => {
    if (data?.v !== 1) return;
    // A frozen tab hears what it missed when it wakes, perhaps hours later.
    const age = Math.max(0, ...stamp(env).map((t, i) => t - data.at[i])) / 1000;
    hear(k, data, age);
  };
  return m => channel.postMessage({ ...m, v: 1, at: stamp(env) });
}

/** @param {Core} k @param {Message} m @param {number} age Seconds it was under way. */
function hear(k, m, age) {
  const { state, ctx, check } = k;
  const { kind } = m;
  const same = !!ctx && ctx.sid === m.sid;
  if (kind === 'ctx') return same && adopt(k, m, age);
  if (kind === 'login') return conclude(k, m);
  if (CLOSED.test(state)) return;
  if (kind === 'logout') return state === 'INIT' || state === 'ANON' ? void (k.popup = undefined) : end(k, true, 'logged_out');
  if (kind === 'ended') return same && (k.claim ? hold(k) : end(k, m.gone, m.reason));
  const changed = kind === 'session_changed' ? !same : kind === 'mismatch' && m.customer === k.customer;
  if (!changed || check || state === 'INIT') return;
  k.check = true;
  if (IDLE.test(state)) schedule(k);
}

/** What contexts must have in common to be shared; false: nothing is. @param {Core} k */
const likeness = ({ cfg, wish, customer, ctx }) => cfg.shareContext !== false && JSON.stringify([wish, customer, ctx?.acr]);

/** Spares the other tabs a request. @param {Core} k */
export function share(k) {
  const { ctx } = k;
  const like = likeness(k);
  if (ctx && like) k.tell({ kind: 'ctx', sid: ctx.sid, like, given: ctx, past: since(k, ctx.sent) });
}

/** Takes another tab's context if it is for the same and lasts longer. @param {Core} k @param {Message} m @param {number} age */
function adopt(k, { like, given, past = 0 }, age) {
  const left = given ? given.expires_in - past - age : 0;
  if (!given || like !== likeness(k) || left < given.min_handout || left <= remaining(k)) return;
  // The sender renews first; the spread spares the others a request.
  hold(k, { ...given, sent: now(k, past + age), renew_in: given.renew_in + random(k, left / 10) });
  k.fails = 0;
  if (k.state !== 'LOGIN_PENDING' && k.state !== 'POPUP_BLOCKED') go(k, 'READY');
}
