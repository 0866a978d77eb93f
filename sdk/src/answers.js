import { degrade, hold, lasts, lower, usable } from './core.js';
import { backOff, renew } from './renewal.js';
import { end, giveUp } from './session.js';
import { goBack } from './signin.js';
import { askSite } from './site.js';
import { go } from './states.js';
import { share } from './tabs.js';
import { forget, show } from './widget.js';

/** @import {Core, Moment} from './core.js' */
/** @import {Claim} from './signin.js' */
/** @import {Answer} from './wire.js' */

/** Signed out, ended by the issuer, revoked, person disabled: the widget must forget the person. */
const FORGET = ['CP-404', 'CP-405', 'CP-406', 'CP-410'];

/** The answer is a context with its session, and not some proxy's JSON. @param {any} body */
const isGrant = ({ context: c, session: s, customer_id: customer }) =>
  customer && s?.sid && c?.token && [s.expires_in, c.expires_in, c.renew_in, c.min_handout].every(n => n >= 0);

/** @param {Core} k @param {any} body @param {Moment} sent @param {boolean} claimed */
function keep(k, { context, session, customer_id }, sent, claimed) {
  k.customer = customer_id;
  k.trouble = undefined;
  k.window = Math.min(60, context.expires_in);
  k.idle = Math.max(k.idle, session.idle_expires_in);
  hold(k, { ...session, ...context, ends: session.expires_in, sent, claimed });
}

/** @param {Core} k @param {any} body @param {Claim|undefined} claim @param {Moment} sent */
function granted(k, body, claim, sent) {
  const { customer, ctx, raise } = k;
  const signedIn = !!claim;
  k.claim = undefined; // it is taken
  if (customer && customer !== body.customer_id) return mismatched(k, body.reason);
  keep(k, body, sent, signedIn);
  if (k.site) k.site.asked = 0;
  // What a site's token proves, only the service can tell.
  const unproven = raise && claim?.site;
  if (unproven) raise.needed = false;
  else if (raise?.needed ? claim && claim.txn === raise.txn : !claim) lower(k);
  if (signedIn) {
    k.popup = undefined;
    k.tell({ kind: 'session_changed', sid: body.session.sid });
    k.emit('login', { customerId: k.customer });
  }
  share(k);
  show(k, signedIn || (customer && !ctx));
  // The machine may have slept while the answer was under way.
  lasts(k) && !unproven ? go(k, 'READY') : renew(k, 'wake');
}

/** A sign-in could not be claimed. @param {Core} k @param {string} error */
function unclaimed(k, error) {
  k.claim = undefined;
  giveUp(k, error);
}

/** @param {Core} k @param {any} body @param {Claim} [claim] */
function loginNeeded(k, { code, error, reason }, claim) {
  const { ctx, site } = k;
  if (code === 'CP-216') {
    if (k.raise) k.raise.needed = true;
    return lasts(k) ? go(k, 'READY') : renew(k, 'wake');
  }
  if (site) return askSite(k, site);
  if (claim) {
    unclaimed(k, error);
    // The answer to an earlier try may have been lost: the session would show.
    return k.tried ? renew(k, 'wake') : go(k, ctx ? 'READY' : 'LOGIN_NEEDED', reason);
  }
  if (ctx?.claimed && code === 'CP-401' && usable(k)) {
    degrade(k, 'cookies_blocked');
    ctx.renew_in = Infinity;
    return go(k, 'READY');
  }
  const gone = FORGET.includes(code);
  k.tell({ kind: 'ended', sid: ctx?.sid, gone, reason });
  end(k, gone, reason);
}

/** The browser's session is another person's. A refused claim stays, for acceptCustomer. @param {Core} k @param {string} reason */
function mismatched(k, reason) {
  k.tell({ kind: 'mismatch', customer: k.customer });
  hold(k);
  forget(k);
  go(k, 'MISMATCH', reason);
  k.emit('usermismatch', {});
}

/** @param {Core} k @param {any} body @param {Claim} [claim] */
function refused(k, { error, code, reason, error_description: description, request_id: requestId }, claim) {
  const fault = { error, code, reason, description, requestId };
  k.env.console.error('chatpass', fault);
  k.emit('error', fault);
  if (claim) unclaimed(k, error);
  if (claim && k.ctx) return go(k, 'READY');
  hold(k);
  go(k, 'FATAL', reason);
}

/**
 * Does what an answer asks for.
 * @param {Core} k
 * @param {Answer} answer
 * @param {Claim|undefined} claim The sign-in that was to be claimed, if any.
 * @param {Moment} sent When the request left.
 */
export function settle(k, { kind, body, after = 0 }, claim, sent) {
  const nobody = !claim && body.active === false;
  if (kind === 'later' || (kind === 'ok' && !nobody && !isGrant(body))) {
    k.tried = !!claim;
    return backOff(k, after);
  }
  k.fails = 0;
  k.hint = body.login;
  if (kind === 'login' || (nobody && k.site)) loginNeeded(k, body, claim);
  else if (body.code === 'CP-407' && !(claim && k.raise?.needed)) mismatched(k, body.reason);
  else if (kind === 'no') return refused(k, body, claim);
  else if (nobody) {
    hold(k);
    go(k, 'ANON', body.reason);
  } else granted(k, body, claim, sent);
  if (claim) goBack(k);
}
