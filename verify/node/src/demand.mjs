import { RejectedError } from './errors.mjs';

const word = /^[!#-[\]-~]+$/; // a scope (RFC 6749 §3.3), and what this says of acr values

/**
 * What a service, or one of its handlers, asks of a context beyond that it is good.
 * @typedef {object} Demand
 * @property {string[]} [scopes] they must all be granted, else the reason is insufficient_scope
 * @property {string[]} [acr] levels of authentication, one of which the context's `acr` must be, else the reason is
 *   insufficient_authentication, upon which a client can let the customer sign in again (RFC 9470)
 * @property {number} [maxAuthAge] how many seconds ago the customer may have signed in, besides the leeway, else likewise;
 *   0 is any time
 * @property {boolean} [conversation] asks for a context that is bound to one conversation, else the reason is unbound. Whether
 *   it is the right one is for the handler to compare: `chat.conversation`
 */

/**
 * Copies a demand that can be met.
 * @param {Demand} demand
 * @returns {Required<Demand>}
 * @throws {TypeError}
 */
export function readDemand({ scopes = [], acr = [], maxAuthAge = 0, conversation = false }) {
  if (!scopes.every((scope) => word.test(scope))) throw new TypeError('not a scope (RFC 6749 §3.3)');
  if (!acr.every((level) => word.test(level))) throw new TypeError('not an acr value');
  if (!(maxAuthAge >= 0)) throw new TypeError('maxAuthAge must be a number of seconds');
  return { scopes: [...scopes], acr: [...acr], maxAuthAge, conversation };
}

/**
 * Looks for scopes first: whoever lacks one gains nothing by signing in again.
 * @param {import('./claims.mjs').Context} context
 * @param {Required<Demand>[]} demands
 * @param {{now: number, leeway: number}} clock
 * @throws {RejectedError}
 */
export function meet(context, demands, clock) {
  const scopes = demands.flatMap((demand) => demand.scopes);
  if (!scopes.every((scope) => context.scope.includes(scope))) {
    throw new RejectedError('insufficient_scope', `needs scope ${scopes.join(' ')}`, { scopes });
  }
  for (const { acr, maxAuthAge, conversation } of demands) {
    const lack = lacks(context, { acr, maxAuthAge }, clock);
    if (lack) throw new RejectedError('insufficient_authentication', lack, { acr, maxAuthAge });
    if (conversation && !context.chat.conversation) throw new RejectedError('unbound', 'not bound to a conversation');
  }
}

/**
 * @param {import('./claims.mjs').Context} context
 * @param {{acr: string[], maxAuthAge: number}} demand
 * @param {{now: number, leeway: number}} clock
 */
function lacks({ acr, authTime }, demand, { now, leeway }) {
  if (demand.acr.length > 0 && !demand.acr.includes(acr ?? '')) return 'needs another acr';
  if (demand.maxAuthAge === 0) return undefined;
  if (authTime === undefined) return 'does not say when the customer signed in';
  const age = now - authTime;
  return age > demand.maxAuthAge + leeway ? `signed in ${Math.round(age)} s ago, at most ${demand.maxAuthAge} s` : undefined;
}
