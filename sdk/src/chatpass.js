import { attempt, fresh, remaining, since } from './core.js';
import { listen, touch } from './page.js';
import { give } from './provider.js';
import { renew } from './renewal.js';
import { login, logout } from './session.js';
import { hearPopup, prepare, resume } from './signin.js';
import { begin, settled } from './states.js';
import { stepUp } from './stepup.js';
import { openTabs } from './tabs.js';
import { attach } from './widget.js';

/** @import {Context, Core, Env} from './core.js' */

/**
 * How the page is wired.
 * @typedef {object} Config
 * @property {string} clientId The browser client of the service's configuration.
 * @property {string} authHost URL of the service (its issuer URL); a path on the page's own origin will do.
 * @property {string} [audience] The service that contexts are for; default: the app's first.
 * @property {string} [scope] What contexts may be used for, separated by blanks; default: all the app grants.
 * @property {string} [conversation] Binds contexts to a conversation.
 * @property {string} [returnTo] A registered page of this origin that loads this SDK: where a redirect sign-in ends.
 * @property {boolean} [redirect] Sign in by redirect instead of popup. Default: only where popups cannot work, if returnTo is given.
 * @property {boolean} [shareContext] Share contexts with other tabs of this origin. Default true.
 * @property {Record<string, any>} [context] Further keys of every context object given to the widget: CustomerInfo, Segments, …
 */

/**
 * What to ask of a sign-in; all of it optional (OpenID Connect Core 1.0, section 3.1.2.1).
 * @typedef {object} SignInOptions
 * @property {string} [idp] Name of the upstream issuer. Default: the app's; if it has several, the person chooses.
 * @property {string} [purpose] `switch`: somebody else signs in.
 * @property {string} [prompt]
 * @property {number} [maxAge] Seconds.
 * @property {string} [acrValues]
 * @property {string} [loginHint]
 * @property {string} [uiLocales]
 * @property {boolean} [redirect] By redirect or by popup, whatever the configuration says.
 */

/**
 * A higher or newer authentication (RFC 9470); without either, what the app's step_up.acr says.
 * @typedef {object} StepUpOptions
 * @property {string} [acrValues] Levels one of which will do, separated by blanks.
 * @property {number} [maxAge] Seconds since the person proved who they are, at most.
 */

/**
 * @typedef {'INIT'|'CHECKING'|'ANON'|'READY'|'RENEWING'|'STALE'|'BACKOFF'|'OFFLINE'|'LOGIN_NEEDED'|'LOGIN_PENDING'|'POPUP_BLOCKED'|'STEP_UP_NEEDED'|'STEP_UP_PENDING'|'MISMATCH'|'SIGNED_OUT'|'FATAL'} State
 */

/**
 * Events and what their listeners get.
 * @typedef {object} Events
 * @property {{state: State, from: State, reason?: string}} state The state changed.
 * @property {{customerId: string|null, error?: string}} login A sign-in ended: with a customer, or with an error
 *   (`access_denied`: cancelled; `window_closed`: may still succeed).
 * @property {{reason?: string}} logout The person was signed out, here or elsewhere; the widget has forgotten them.
 * @property {{}} usermismatch The browser's session belongs to another person than the one the widget showed.
 * @property {{reason: string}} degraded `unreachable`, `rejected_loop` (the chat side refuses every context) or `cookies_blocked`.
 * @property {{expiresIn: number}} expiring The session ends in so many seconds, at most 300.
 * @property {{error: string, code?: string, reason?: string, description?: string, requestId?: string}} error
 *   The service refused for good: a fault of the configuration, or this person is not admitted.
 */

/** The vendor's global function. @typedef {(command: string, ...args: any[]) => void} Asapp */

/**
 * @typedef {object} Chat
 * @property {Promise<{customerId: string}|null>} ready Who is signed in, once that is known; null: nobody, or the
 *   service did not answer. A hidden tab finds out when it is seen.
 * @property {State} state
 * @property {(callback: (context: Record<string, any>) => void, needsRefresh?: boolean) => void} contextProvider
 *   ASAPP's ContextProvider. Calls back exactly once: at once with a usable context, else within 8 s; without
 *   `Auth` when nobody is signed in.
 * @property {(data?: any) => void} userLoginHandler ASAPP's UserLoginHandler: signs in. Call it from a click.
 * @property {(asapp: Asapp, settings?: Record<string, any>) => void} attach Keeps the widget's customer up to date.
 *   `settings` is what the page gave to `ASAPP('load', …)`, to begin an anonymous chat after a sign-out.
 * @property {(options?: {force?: boolean}) => Promise<string|null>} getToken For widgets that pull. `force`: the last one was refused.
 * @property {(fn: (token: string|null, info: {customerId: string, expiresIn: number, renewIn: number}|null) => void) => () => void} onToken
 *   For widgets that are pushed: called with every new context, null when there is none any more. Returns how to stop it.
 * @property {(options?: SignInOptions) => State} login Signs in; call it from a click. `POPUP_BLOCKED`: offer another click.
 * @property {(options?: StepUpOptions) => Promise<void>} stepUp Resolves when contexts are of that level; they are for a
 *   while. In state `STEP_UP_NEEDED` the person has to sign in again: call login() from a click. Rejects when
 *   nothing comes of it (`step_up_unmet`, `access_denied`, `window_closed`, …); contexts go on as before.
 * @property {(give: (ask: {fresh: boolean}) => string|null|undefined|Promise<string|null|undefined>, options?: {onLoginNeeded?: () => void}) => void} setSiteTokenProvider
 *   For a site that signs people in itself: `give` returns its ID token, or nothing if nobody is signed in there.
 *   No window of ours opens then: `onLoginNeeded` tells the site to sign the person in, and login() asks for its token again.
 * @property {(options?: {scope?: 'local'|'global'}) => Promise<{endSessionUrl: string|null}>} logout Signs out, here
 *   and in all tabs. Going to endSessionUrl signs out at the upstream issuer as well.
 * @property {() => void} acceptCustomer After `usermismatch`: go on as whoever is signed in.
 * @property {<K extends keyof Events>(event: K, fn: (data: Events[K]) => void) => () => void} on Returns how to stop it.
 */

/** What ASAPP is given of a context. @param {Context} ctx */
const auth = ({ token, scope, expires_at: exp }) =>
  ({ Token: token, ...(scope && { Scopes: scope.split(' '), Body: { token_expiry: `${exp}`, token_scope: scope } }) });

/** @param {Env} env */
function newEvents(env) {
  /** @type {Record<string, Set<Function>>} */
  const listeners = {};
  return {
    /** Listeners run after what is under way, and one that throws hinders nobody. @param {string} event @param {any} data */
    emit(event, data) {
      env.queueMicrotask(() => listeners[event]?.forEach(fn => env.queueMicrotask(() => fn(data))));
    },
    /** @param {string} event @param {Function} fn */
    on(event, fn) {
      (listeners[event] ??= new Set()).add(fn);
      return () => void listeners[event].delete(fn);
    },
  };
}

/** @param {Env} env @param {Config} cfg @param {Core['emit']} emit @returns {Core} */
function newCore(env, cfg, emit) {
  const { authHost, audience, scope, conversation } = cfg;
  const { href } = new URL(authHost, env.location.href);
  const k = /** @type {Core} */ (/** @type {unknown} */ ({
    env,
    cfg,
    emit,
    host: href.replace(/\/+$/, ''),
    wish: { audience, scope, conversation },
    state: 'INIT',
    generation: 0,
    tries: [],
    idle: 0,
    window: 60,
    fails: 0,
    pause: 0,
    floor: 0,
    waiting: new Set(),
    forced: 0,
  }));
  k.tell = openTabs(k);
  listen(k);
  env.addEventListener('message', e => hearPopup(k, e));
  prepare(k);
  resume(k);
  return k;
}

/** @param {Core} k @returns {Chat['contextProvider']} */
const newContextProvider = k => (callback, needsRefresh) => {
  // The widget lives in a frame of its own: that it asks is all we see of somebody typing.
  if (!needsRefresh && k.env.document.hasFocus()) touch(k);
  const answer = (/** @type {Context|undefined} */ ctx) =>
    attempt(k, () => callback({ ...k.cfg.context, ...(ctx && { Auth: auth(ctx) }) }));
  const given = give(k, needsRefresh && k.ctx?.jti === k.handed);
  given instanceof Promise ? given.then(answer) : answer(given);
};

/**
 * Makes the one object that a page needs. It asks nothing of the service before attach, ready, onToken,
 * getToken or the widget does.
 * @param {Config} cfg
 * @returns {Chat}
 */
export function create(cfg) {
  /** Tests give a browser of their own. @type {Env} */
  const env = /** @type {any} */ (cfg)['env'] || globalThis;
  if (!cfg.clientId || !cfg.authHost || !env.crypto?.subtle) throw new TypeError('clientId, authHost, https needed');
  const { emit, on } = newEvents(env);
  const k = newCore(env, cfg, emit);
  const contextProvider = newContextProvider(k);
  const userLoginHandler = () => void login(k);
  k.handlers = { ContextProvider: contextProvider, UserLoginHandler: userLoginHandler };
  return {
    get ready() {
      begin(k);
      return settled(k).then(() => (k.ctx && k.customer ? { customerId: k.customer } : null));
    },
    get state() {
      return k.state;
    },
    contextProvider,
    userLoginHandler,
    attach(asapp, settings) {
      attach(k, asapp, settings);
      begin(k);
    },
    getToken: async ({ force } = {}) => (await give(k, force))?.token ?? null,
    onToken(fn) {
      const push = (/** @type {Context|undefined} */ ctx) => ctx
        ? fn(ctx.token, { customerId: /** @type {string} */ (k.customer), expiresIn: remaining(k), renewIn: ctx.renew_in - since(k, ctx.sent) })
        : fn(null, null);
      if (fresh(k)) env.queueMicrotask(() => push(k.ctx));
      begin(k);
      return on('token', push);
    },
    login: options => login(k, options),
    stepUp: options => stepUp(k, options),
    setSiteTokenProvider(give, { onLoginNeeded } = {}) {
      k.site = { give, onLoginNeeded, asked: 0 };
    },
    logout: ({ scope = 'local' } = {}) => logout(k, scope),
    acceptCustomer: () => k.state === 'MISMATCH' && renew(k, 'load'),
    on,
  };
}
