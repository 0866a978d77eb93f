/**
 * Verifies chat contexts for the services they are for, offline: with the issuer's published keys and status lists.
 * README.md shows how; errors.mjs has the reasons of a refusal, claims.mjs what a context says.
 */
import { readContext } from './claims.mjs';
import { meet, readDemand } from './demand.mjs';
import { RejectedError, UnavailableError } from './errors.mjs';
import { Keys } from './keys.mjs';
import { middleware } from './middleware.mjs';
import { StatusLists } from './status.mjs';
import { believe, parse, plainType } from './token.mjs';

export { RejectedError, UnavailableError };

const maxToken = 16 << 10;

/**
 * @typedef {object} Options
 * @property {string} issuer the URL of the chatpass issuer, compared with `iss` byte for byte
 * @property {string} audience this service, as the app's configuration names it
 * @property {number} [leeway] how many seconds clocks may be apart, 0 to 300; default 60
 * @property {string[]} [requiredScopes] scopes that every context must have
 * @property {import('./demand.mjs').Demand} [demand] what else every context must meet
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
  /**
   * @param {Options} options
   * @param {Verifier} [other] whose keys and status lists are used: see require
   */
  constructor(options, other) {
    const { issuer, audience, leeway = 60, allowTyp = [], maxStatusAge = Infinity, fetch = globalThis.fetch, now = Date.now } = options;
    check(options, { leeway, maxStatusAge });
    this.options = options;
    this.issuer = issuer;
    this.audience = audience;
    this.leeway = leeway;
    this.types = ['at+jwt', ...allowTyp.map(plainType)];
    this.demands = [readDemand({ scopes: options.requiredScopes }), readDemand(options.demand ?? {})];
    this.now = () => now() / 1000;
    this.keys = other?.keys ?? new Keys({ issuer, fetch, now: this.now });
    this.lists = other?.lists ?? new StatusLists({ issuer, keys: this.keys, fetch, now: this.now, leeway, maxStatusAge });
  }

  /**
   * A verifier that demands more, for one handler perhaps. The two share keys and status lists.
   * @param {import('./demand.mjs').Demand} demand
   * @throws {TypeError} if nothing can meet it
   */
  require(demand) {
    const strict = new Verifier(this.options, this);
    strict.demands = [...this.demands, readDemand(demand)];
    return strict;
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

  /**
   * What depends on this service and on the time.
   * @param {import('./claims.mjs').Context} context
   * @param {import('./keys.mjs').Key} key
   */
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
    meet(context, this.demands, { now, leeway });
  }

  /** @param {import('./claims.mjs').Context} context */
  async #statusAge({ status }) {
    if (!status && this.options.requireStatus) throw new RejectedError('claim_missing', 'status');
    if (!status) return undefined;
    try {
      return await this.lists.check(status);
    } catch (err) {
      if (err instanceof UnavailableError && this.options.withoutStatus === 'accept') return undefined;
      throw err;
    }
  }

  /**
   * A handler for Express, or for node:http with `next` as the third argument. It answers requests without a good
   * context as RFC 6750 §3 and RFC 9470 §3 say, and calls next() for the others with the context in `req.chat`.
   * @param {...string} scopes that the context must have too, besides what the verifier demands
   */
  middleware(...scopes) {
    return middleware(this.require({ scopes }));
  }
}

/** @param {Options} options @param {{leeway: number, maxStatusAge: number}} numbers */
function check({ issuer, audience, dangerouslyAllowHTTP, withoutStatus = 'refuse' }, { leeway, maxStatusAge }) {
  const url = new URL(issuer);
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  const ok = url.protocol === 'https:' || (url.protocol === 'http:' && (loopback || dangerouslyAllowHTTP));
  if (!ok || url.username || url.password || /[?#]/.test(issuer)) throw new TypeError('issuer is not a URL such as https://chat-auth.example.com');
  if (typeof audience !== 'string' || audience === '') throw new TypeError('audience is empty');
  if (!(leeway >= 0 && leeway <= 300)) throw new TypeError('leeway must be 0 to 300 seconds');
  if (!(maxStatusAge > 0)) throw new TypeError('maxStatusAge must be a number of seconds');
  if (!['refuse', 'accept'].includes(withoutStatus)) throw new TypeError('withoutStatus must be refuse or accept');
}
