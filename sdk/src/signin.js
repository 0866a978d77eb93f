import { attempt, now, since } from './core.js';
import { visible } from './page.js';
import { giveUp, redeem } from './session.js';
import { post } from './wire.js';

/** @import {SignInOptions} from './chatpass.js' */
/** @import {Core, Moment} from './core.js' */
/** @import {Site} from './site.js' */

/**
 * A sign-in whose result this page can claim.
 * @typedef {object} Claim
 * @property {string} [txn]
 * @property {string} [verifier]
 * @property {Site} [site] In place of all others: the site has signed the person in.
 * @property {string|null} [code] Only where the service's cookie cannot come along (mode B).
 */

/** What a sign-in came to. @typedef {{txn?: string|null, error?: string|null, code?: string|null}} Outcome */

/** A sign-in that may begin. @typedef {Claim & {challenge: string}} Prepared */

/**
 * A sign-in in a popup. `like`: what it was asked, as text. `shut`: its window was seen closed, which proves nothing: an identity provider's
 * opener policy looks the same. `wait`: seconds until the service is asked next.
 * @typedef {Claim & {win: Window, like: string, at: Moment, wait: number, shut?: boolean, asking?: boolean}} Popup
 */

const LIFE = 15 * 60;
const NAME = 'chatpass';

/** @param {Core} k */
export async function prepare(k) {
  const { crypto } = k.env;
  k.next = undefined;
  // Of 122 random bits each: half of the second goes into txn.
  const secret = crypto.randomUUID() + crypto.randomUUID() + crypto.randomUUID();
  const [txn, verifier] = [secret.slice(0, 54), secret.slice(54)];
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  const challenge = btoa(String.fromCharCode(...new Uint8Array(digest))).replace(/\+/g, '-').replace(/\//g, '_').replace('=', '');
  k.next = { txn, verifier, challenge };
}

/**
 * Begins a sign-in; must run within the person's click.
 * @param {Core} k
 * @param {SignInOptions} ask
 * @returns {boolean|undefined} True if it is under way: the browser let the popup open, or the page leaves.
 */
export function start(k, ask) {
  const { env, cfg, popup, next } = k;
  if (popup && !popup.win.closed && popup.like === JSON.stringify(ask)) {
    popup.win.focus();
    return true;
  }
  const needed = env.crossOriginIsolated || /iP[aho]/.test(env.navigator.userAgent);
  const leaves = cfg.returnTo && (ask.redirect ?? cfg.redirect ?? needed);
  return next && (leaves ? leave(k, next, ask) : open(k, next, ask));
}

/** @param {Core} k @param {Prepared} next @param {SignInOptions} ask */
function open(k, next, ask) {
  // A name that nobody knows: a frame of the page could have any other.
  const win = k.env.open(startUrl(k, next, ask, 'popup', { relayUri: k.cfg.returnTo }), (k.name ||= next.txn), 'width=480,height=640');
  if (!win || win.closed) return false;
  k.popup = { ...next, win, like: JSON.stringify(ask), at: now(k), wait: 1 };
  watch(k, 0.5);
  prepare(k);
  return true;
}

/** @param {Core} k @param {Prepared} next @param {SignInOptions} ask */
function leave(k, next, ask) {
  const { location } = k.env;
  const { txn, verifier } = next;
  return attempt(k, () => {
    k.env.sessionStorage.setItem(NAME, JSON.stringify({ txn, verifier, back: location.href, client: k.cfg.clientId }));
    location.assign(startUrl(k, next, ask, 'redirect', { returnTo: k.cfg.returnTo }));
    prepare(k);
    return true;
  });
}

/**
 * The query of E1. The page's wishes go by the protocol's names: maxAge is max_age.
 * @param {Core} k
 * @param {Prepared} next
 * @param {SignInOptions} ask
 * @param {string} mode
 * @param {{returnTo?: string, relayUri?: string}} page Where it ends; for a popup, if it ends up on its own.
 */
function startUrl({ env, cfg, host }, { txn, challenge }, { redirect, ...ask }, mode, page) {
  const all = { ...ask, clientId: cfg.clientId, txn, challenge, mode, pageOrigin: env.location.origin, ...page };
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(all)) {
    if (value != null) query.set(name.replace(/[A-Z]/g, c => '_' + c.toLowerCase()), `${value}`);
  }
  return host + '/v1/login/start?' + query;
}

/** Claims what a redirect brought back in the fragment, if it is this page's own sign-in. @param {Core} k */
export function resume(k) {
  const { location, history } = k.env;
  const fragment = new URLSearchParams(location.hash.slice(1));
  const txn = fragment.get('chatpass_txn');
  if (!txn) return;
  const { client, back, ...claim } = attempt(k, () => JSON.parse(k.env.sessionStorage.getItem(NAME) || 'null')) || {};
  if (client && client !== k.cfg.clientId) return;
  history.replaceState(history.state, '', location.pathname + location.search);
  const error = fragment.get('chatpass_error');
  const code = fragment.get('chatpass_code');
  // A popup that lost its opener ends here (mode B): the page that began it is another tab.
  if (claim.txn !== txn) return k.tell({ kind: 'login', txn, error, code });
  attempt(k, () => k.env.sessionStorage.removeItem(NAME));
  k.back = back;
  if (!error) return redeem(k, { ...claim, code });
  giveUp(k, error);
  goBack(k);
}

/** Returns to the page that the person left for the sign-in. @param {Core} k */
export function goBack({ env: { location }, back }) {
  if (back && back !== location.href && new URL(back).origin === location.origin) location.replace(back);
}

/** The popup's word: of our service, from that window, about that sign-in. @param {Core} k @param {MessageEvent} e */
export function hearPopup(k, { origin, source, data }) {
  const { popup } = k;
  if (!popup || source !== popup.win || origin !== new URL(k.host).origin) return;
  if (data?.v === 1 && data.type === 'chatpass.login') conclude(k, data);
}

/** What the sign-in in the popup came to, if it is that one. @param {Core} k @param {Outcome} said */
export function conclude(k, { txn, error, code }) {
  const { popup } = k;
  if (popup && popup.txn === txn) finish(k, popup, error, code);
}

/** @param {Core} k @param {Popup} popup @param {string|null} [error] @param {string|null} [code] */
function finish(k, { txn, verifier }, error, code) {
  k.popup = undefined;
  error ? giveUp(k, error, error === 'txn_expired') : redeem(k, { txn, verifier, code });
}

/** @param {Core} k @param {number} seconds */
function watch(k, seconds) {
  k.env.clearTimeout(k.watch);
  k.watch = k.env.setTimeout(() => look(k), seconds * 1000);
}

/** Looks after the popup: a window that closed without a word is asked for at the service. @param {Core} k */
export function look(k) {
  const { popup } = k;
  if (!popup) return;
  if (since(k, popup.at) > LIFE) finish(k, popup, 'txn_expired');
  else if (!popup.shut) {
    popup.shut = popup.win.closed;
    watch(k, popup.shut ? 1 : 0.5);
  } else if (!popup.asking && visible(k)) askFor(k, popup);
}

/** Asks, less and less often, whether the sign-in came to an end (E3). @param {Core} k @param {Popup} popup */
async function askFor(k, popup) {
  const { txn, verifier, wait } = popup;
  popup.asking = true;
  const { status, error } = (await post(k, '/v1/login/status', { txn, verifier, wait: 3 })).body;
  popup.asking = false;
  if (k.popup !== popup) return;
  if (/^(comp|fail|exp)/.test(status)) return finish(k, popup, status === 'complete' ? undefined : error || 'txn_expired');
  popup.wait = Math.min(wait * 2, 60);
  watch(k, popup.wait);
  if (wait === 1) giveUp(k, 'window_closed', true);
}
