/**
 * Why a context is refused, in the order of the checks. Fixed texts, safe to show.
 * @typedef {'too_large' | 'malformed' | 'header_unsupported' | 'type' | 'algorithm' | 'unknown_key' | 'signature'
 *   | 'claim_missing' | 'claim_invalid' | 'chat_version' | 'issuer' | 'audience' | 'expired' | 'not_yet_valid'
 *   | 'key_period' | 'insufficient_scope' | 'insufficient_authentication' | 'unbound' | 'revoked'} Reason
 */

/** The context is at fault. */
export class RejectedError extends Error {
  /**
   * @param {Reason} reason the rule that was broken
   * @param {string} detail for a log; it holds nothing of the token
   * @param {import('./demand.mjs').Demand} [demand] what the context would have to meet, if the reason is insufficient_scope or
   *   insufficient_authentication
   */
  constructor(reason, detail, demand = {}) {
    super(`context rejected: ${reason}: ${detail}`);
    this.name = 'RejectedError';
    this.reason = reason;
    this.demand = demand;
  }
}

/**
 * Nothing is known about the context: the issuer's keys or its status list could not be had. Try again later, and
 * do not treat the caller as signed out.
 */
export class UnavailableError extends Error {
  /** @param {string} what @param {unknown} [cause] */
  constructor(what, cause) {
    super(`cannot tell: ${what}`, { cause });
    this.name = 'UnavailableError';
  }
}
