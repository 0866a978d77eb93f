/**
 * Verifies chat contexts for the services they are for, offline: with the issuer's published keys and status lists.
 * README.md shows how; errors.mjs has the reasons of a refusal, claims.mjs what a context says.
 */
import { readContext, requireScopes } from './claims.mjs';
import { RejectedError, UnavailableError } from './errors.mjs';
import { Keys } from './keys.mjs';
import { middleware } from './middleware.mjs';
import { StatusLists } from './status.mjs';
import { believe, parse, plainType } from './token.mjs';

export { RejectedError, UnavailableError };

const maxToken = 16 << 10;
const scopeToken = /^[!#-[\]-~]+$/; // RFC 6749 §3.3

/**
 * @typedef {object} Options
 * @property {string} issuer the URL of the chatpass issuer, compared with `iss` byte for byte
 * @property {string} audience this service, as the app's configuration names it
 * @property {number} [leeway] how many seconds clocks may be apart, 0 to 300; default 60
 * @property {string[]} [requiredScopes] scopes that every context must have
 * @property {string[]} [allowTyp] other `typ` that are accepted: 'JWT' for an app whose context_typ is that
 * @property {boolean} [requireStatus] refuse contexts without a place in a status list
 * @property {number} [maxStatusAge] how many seconds ago a usable status list was true; default: up to its `exp`
 * @property {'refuse' | 'accept'} [withoutStatus] when no usable list can be had: throw UnavailableError (default), or accept
 * @property {boolean} [dangerouslyAllowHTTP] a plain http issuer beyond loopback
 * @property {typeof fetch} [fetch] fetches the issuer's documents
 * @property {() => number} [now] the clock, in milliseconds; default Date.now
 */

/** Verifies the contexts of one issuer for one audience. Making one does no I/O. */
export class Verifier {
  /** @param {Options} options */
  constructor(options) {
    const { issuer, audience, leeway = 60, requiredScopes = [], allowTyp = [], maxStatusAge = Infinity, fetch = globalThis.fetch } = options;
    const { requireStatus = false, withoutStatus = 'refuse', now = Date.now } = options;
    check(options, { leeway, requiredScopes, maxStatusAge, withoutStatus });
    const seconds = () => now() / 1000;
    Object.assign(this, { issuer, audience, leeway, requiredScopes, requireStatus, withoutStatus, now: seconds });
    this.types = ['at+jwt', ...allowTyp.map(plainType)];
    this.keys = new Keys({ issuer, fetch, now: seconds });
    this.lists = new StatusLists({ issuer, keys: this.keys, fetch, now: seconds, leeway, maxStatusAge });
  }

  /**
   * @param {string} token
   * @returns {Promise<import('./claims.mjs').Context>}
   * @throws {RejectedError} if the context is at fault
   * @throws {UnavailableError} if that cannot be told now
   */
  async verify(token) {
    const parsed = parse(token, { types: this.types, maxSize: maxToken });
    const key = await this.keys.key(parsed);
    const context = readContext(await believe(parsed, key), this.issuer);
    this.#check(context, key);
    context.statusAge = await this.#statusAge(context);
    return context;
  }

  /** What depends on this service and on the time. */
  #check(context, key) {
    const now = this.now();
    const { leeway } = this;
    if (context.issuer !== this.issuer) throw new RejectedError('issuer', 'another issuer\'s');
    if (!context.audience.includes(this.audience)) throw new RejectedError('audience', 'not for this audience');
    if (now >= context.expires + leeway) throw new RejectedError('expired', `${Math.round(now - context.expires)} s ago`);
    if (context.issuedAt > now + leeway) throw new RejectedError('not_yet_valid', 'issued ahead');
    if ((context.notBefore ?? 0) > now + leeway) throw new RejectedError('not_yet_valid', 'nbf is ahead');
    if (context.issuedAt < (key.nbf ?? 0) - leeway || context.issuedAt > (key.exp || Infinity) + leeway) {
      throw new RejectedError('key_period', 'issued when its key did not sign');
    }
    requireScopes(context, this.requiredScopes);
  }

  async #statusAge({ status }) {
    if (!status && this.requireStatus) throw new RejectedError('claim_missing', 'status');
    if (!status) return undefined;
    try {
      return await this.lists.check(status);
    } catch (err) {
      if (err instanceof UnavailableError && this.withoutStatus === 'accept') return undefined;
      throw err;
    }
  }

  /**
   * A handler for Express, or for node:http with `next` as the third argument. It answers requests without a good
   * context as RFC 6750 §3 says, and calls next() for the others with the context in `req.chat`.
   * @param {...string} scopes that the context must have too
   */
  middleware(...scopes) {
    if (!scopes.every((scope) => scopeToken.test(scope))) throw new TypeError('not a scope (RFC 6749 §3.3)');
    return middleware(this, scopes);
  }
}

function check({ issuer, audience, dangerouslyAllowHTTP }, { leeway, requiredScopes, maxStatusAge, withoutStatus }) {
  const url = new URL(issuer);
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  const ok = url.protocol === 'https:' || (url.protocol === 'http:' && (loopback || dangerouslyAllowHTTP));
  if (!ok || url.username || url.password || /[?#]/.test(issuer)) throw new TypeError('issuer is not a URL such as https://chat-auth.example.com');
  if (typeof audience !== 'string' || audience === '') throw new TypeError('audience is empty');
  if (!(leeway >= 0 && leeway <= 300)) throw new TypeError('leeway must be 0 to 300 seconds');
  if (!requiredScopes.every((scope) => scopeToken.test(scope))) throw new TypeError('requiredScopes: not a scope (RFC 6749 §3.3)');
  if (!(maxStatusAge > 0)) throw new TypeError('maxStatusAge must be a number of seconds');
  if (!['refuse', 'accept'].includes(withoutStatus)) throw new TypeError('withoutStatus must be refuse or accept');
}
