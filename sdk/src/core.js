/** @import {Config, SignInOptions, State} from './chatpass.js' */
/** @import {Claim, Popup, Prepared} from './signin.js' */
/** @import {Message} from './tabs.js' */
/** @import {Site} from './site.js' */
/** @import {Raise} from './stepup.js' */
/** @import {Handlers, Widget} from './widget.js' */

/** A browser's window, or a test's. @typedef {Window & typeof globalThis} Env */

/**
 * A moment on the two clocks of a browser, in milliseconds.
 * @typedef {{perf: number, wall: number}} Moment
 */

/**
 * A context in hand, with its session, in the service's words. `sent` is when it was asked for, so its life is
 * never overrated.
 * @typedef {object} Context
 * @property {string} token
 * @property {string} jti
 * @property {string} [scope] What it may be used for.
 * @property {number} [expires_at] When it ends, for others to read: seconds since the epoch by the service's clock.
 * @property {number} expires_in Seconds it was good for at `sent`.
 * @property {number} renew_in Seconds after `sent` from which it should be renewed.
 * @property {number} min_handout Seconds it must have left to be handed out.
 * @property {string} sid Public reference of its session.
 * @property {string} [acr] How the person proved who they are.
 * @property {number} idle_expires_in Seconds after `sent` at which its session ends if nobody does anything.
 * @property {Moment} sent
 * @property {number} ends Seconds after `sent` at which its session ends in any case.
 * @property {boolean} [claimed] It came with a sign-in: nothing shows yet that the browser kept the cookie.
 */

/**
 * Everything one SDK instance knows. The other modules are verbs on it.
 * @typedef {object} Core
 * @property {Env} env
 * @property {Config} cfg
 * @property {string} host URL of the service, without a slash at its end.
 * @property {{audience?: string, scope?: string, conversation?: string}} wish What contexts are asked for.
 * @property {(event: string, data: any) => void} emit
 * @property {(m: Message) => void} tell Tells the other tabs.
 * @property {Handlers} handlers
 * @property {Widget} [widget]
 * @property {State} state
 * @property {Context} [ctx]
 * @property {string} [told] The session, by sid, whose near end the page was told of.
 * @property {string} [customer] Whom the widget shows.
 * @property {boolean} [check] The session should be looked at.
 * @property {boolean} [asking] A request for a context is under way.
 * @property {number} generation Answers to requests of an earlier generation are void.
 * @property {Moment[]} tries The latest requests.
 * @property {number} idle The longest of these: after it, a session ends.
 * @property {number} window At most 6 requests in so many seconds: a minute, or a shorter context's life.
 * @property {number} fails Failed requests in a row.
 * @property {Moment} [failed] When the last one failed.
 * @property {number} pause Seconds after it until the next one.
 * @property {number} floor Seconds after it before which nothing may be asked.
 * @property {string} [trouble] What the page was told of last.
 * @property {Set<() => void>} waiting Who waits for what is under way.
 * @property {Moment} [input] When somebody last did something.
 * @property {number} [timer] Runs only while the tab is seen.
 * @property {Prepared} [next] The next sign-in, made beforehand: a popup must open within the click itself.
 * @property {Popup} [popup] The sign-in under way in a popup; the newest wins.
 * @property {string} [name] That of the windows it opens.
 * @property {number} [watch] The timer that looks after it.
 * @property {Claim} [claim] A finished sign-in, claimed by the next request.
 * @property {boolean} [tried] It was claimed before, without an answer.
 * @property {string} [back] Where the page was when it left for the sign-in.
 * @property {SignInOptions|null} [hint] What the service asks of the next sign-in.
 * @property {Raise} [raise] A higher authentication that the page waits for.
 * @property {Site} [site] Who signs people in, if it is not the service.
 * @property {string} [handed] The jti given out last.
 * @property {number} forced Renewals forced by refusals of late.
 * @property {Moment} [forcedAt] When the last of them was.
 * @property {Moment} [refusedAt] When the chat side last refused a context.
 */

/** Nobody waits longer, in milliseconds: no widget for a context, no request for its answer. */
export const PATIENCE = 8000;

/** A context that ends within so many seconds is of no use to who gets it, unless it never lasted long. */
const LAST = 5;

/** Something is under way: whoever wants a context waits. */
const BUSY = /INIT|CHECKING|RENEWING|STALE|LOGIN_PENDING/;

/** The moment so many seconds ago. @param {Core} k @param {number} [ago] @returns {Moment} */
export const now = ({ env }, ago = 0) => ({ perf: env.performance.now() - ago * 1000, wall: env.Date.now() - ago * 1000 });

/**
 * Seconds since m; Infinity since never. One clock may stand still while the machine sleeps, the other
 * may be set: the greater difference is never too small while one of them ran.
 * @param {Core} k
 * @param {Moment} [m]
 */
export const since = ({ env }, m) =>
  m ? Math.max(env.performance.now() - m.perf, env.Date.now() - m.wall) / 1000 : Infinity;

/** Jitter: a random number of seconds. @param {Core} k @param {number} most */
export const random = ({ env }, most) => env.Math.random() * most;

/** Seconds the context is good for, at least. @param {Core} k */
export const remaining = k => (k.ctx ? k.ctx.expires_in - since(k, k.ctx.sent) : 0);

/** The context is of use to who gets it now. @param {Core} k */
export const usable = k => !!k.ctx && remaining(k) > Math.min(LAST, k.ctx.min_handout);

/** The context lasts long enough to be handed out without another try. @param {Core} k */
export const lasts = k => !!k.ctx && remaining(k) >= k.ctx.min_handout;

/** The context may be handed out at once. @param {Core} k */
export const fresh = k => lasts(k) && k.state !== 'STALE';

/** The context should be renewed, or the session looked at. @param {Core} k */
export const due = k => k.check || (!!k.ctx && since(k, k.ctx.sent) >= k.ctx.renew_in);

/** The service has heard of nobody for long: what is done now should not be lost if the machine sleeps next. @param {Core} k */
export const lapsing = k => !!k.ctx && k.ctx.idle_expires_in < k.idle / 2;

/** A usable context is in hand, and nothing is under way but perhaps a step-up. @param {Core} k */
export const ready = k => /READY|STEP_UP/.test(k.state);

/** @param {Core} k */
export const busy = k => BUSY.test(k.state);

/** The service was not reached the last time: nobody waits for it. @param {Core} k */
export const troubled = k => k.fails > 0 || k.state === 'BACKOFF' || k.state === 'OFFLINE';

/** A request out of turn is no burden. @param {Core} k */
export const mayRetry = k => since(k, k.failed) > Math.max(2, k.floor);

/**
 * What the page's, the vendor's or the browser's code throws is logged and stops nothing.
 * @template T
 * @param {Core} k
 * @param {() => T} fn
 * @returns {T|undefined}
 */
export function attempt({ env }, fn) {
  try {
    return fn();
  } catch (e) {
    env.console.error(e);
    return undefined;
  }
}

/** Tells the page of trouble, once. @param {Core} k @param {string} reason */
export function degrade(k, reason) {
  if (k.trouble !== reason) k.emit('degraded', { reason });
  k.trouble = reason;
}

/** The page waits no more for a step-up: what there is is enough, or nothing comes of it. @param {Core} k @param {string} [error] */
export function lower(k, error) {
  const { raise } = k;
  k.raise = undefined;
  error ? raise?.reject(Error(error)) : raise?.resolve();
}

/** Takes a context in hand, or drops the one there is. @param {Core} k @param {Context} [ctx] */
export function hold(k, ctx) {
  if (!ctx) lower(k, 'ended');
  if (ctx || k.ctx) k.emit('token', ctx);
  k.ctx = ctx;
}
