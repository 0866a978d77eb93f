import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { RejectedError, UnavailableError } from './errors.mjs';
import { Fetched, get } from './fetched.mjs';
import { decode } from './json.mjs';
import { believe, parse } from './token.mjs';

const maxToken = 1 << 20;
const maxEntries = 1 << 20;
const maxLists = 64;
const defaultTTL = 60;
const unpack = promisify(inflate);

/**
 * A status list: `bits` for each entry, in `bytes`, as it was at `iat`, to be asked for again after `ttl` seconds
 * and not to be used after `exp`.
 * @typedef {{bits: number, bytes: Buffer, iat: number, exp: number, ttl: number}} List
 */

/**
 * @typedef {{issuer: string, keys: import('./keys.mjs').Keys, fetch: typeof fetch, now: () => number, leeway: number, maxStatusAge: number}} Config
 */

/** The issuer's status lists (draft-ietf-oauth-status-list-20, approved, no number yet). */
export class StatusLists {
  /** @type {Map<string, Fetched<List>>} */
  #lists = new Map(); // by uri, the longest unused first

  /** @param {Config} config */
  constructor(config) {
    this.config = config;
  }

  /**
   * Returns how old the list is that says that the session has not ended.
   * @param {{index: number, uri: string}} place
   * @returns {Promise<number>} in seconds
   * @throws {RejectedError} revoked, or claim_invalid if the list has no such place
   * @throws {UnavailableError} if there is no list that may be used
   */
  async check({ index, uri }) {
    const list = await this.#list(uri).get();
    const age = this.config.now() - list.iat;
    if (age > this.config.maxStatusAge) throw new UnavailableError('the status list is too old');
    if (index >= (list.bytes.length * 8) / list.bits) throw new RejectedError('claim_invalid', 'its place is beyond the status list');
    if (entry(list, index) !== 0) throw new RejectedError('revoked', 'its session has ended');
    return Math.max(0, age);
  }

  /** @param {string} uri */
  #list(uri) {
    const list = this.#lists.get(uri) ?? this.#newList(uri);
    this.#lists.delete(uri);
    this.#lists.set(uri, list);
    if (this.#lists.size > maxLists) this.#lists.delete(this.#lists.keys().next().value ?? '');
    return list;
  }

  /**
   * How long a list is used without asking again: it must not grow too old meanwhile.
   * @param {List} list
   */
  #period({ ttl }) {
    return Math.min(ttl, this.config.maxStatusAge / 2);
  }

  /**
   * @param {string} uri
   * @returns {Fetched<List>}
   */
  #newList(uri) {
    const share = 0.6 + Math.random() / 4; // of its ttl, so that verifiers do not ask in step
    return new Fetched({
      now: this.config.now, load: async (last) => newer(await load(uri, this.config), last), cooldown: 5,
      fresh: (list) => this.#period(list) * share, waits: (list) => this.#period(list), until: ({ exp }) => exp,
    });
  }
}

/**
 * What a replica of the issuer says that knows less than the last one did changes nothing, or a session that has ended
 * would come to life again.
 * @param {List} list
 * @param {List | undefined} last
 */
const newer = (list, last) => (last && list.iat < last.iat ? last : list);

/**
 * Entries count from the lowest bit of the first byte (draft §4.1).
 * @param {List} list
 * @param {number} index
 */
function entry({ bits, bytes }, index) {
  const at = index * bits;
  return (bytes[at >> 3] >> (at & 7)) & ((1 << bits) - 1);
}

/**
 * @param {string} uri
 * @param {Config} config
 * @returns {Promise<List>}
 */
async function load(uri, { issuer, keys, fetch, now, leeway }) {
  const body = await get(fetch, uri, maxToken);
  const token = parse(body.toString('latin1'), { types: ['statuslist+jwt'], maxSize: maxToken });
  const { iss = issuer, sub, iat, exp, ttl = defaultTTL, status_list: packed } = await believe(token, await keys.key(token));
  if (iss !== issuer || sub !== uri) throw new Error('not the list that was asked for');
  if (![iat, exp, ttl].every((n) => typeof n === 'number' && n > 0)) throw new Error('times are missing');
  if (iat > now() + leeway || exp <= now()) throw new Error('not of this time');
  if (![1, 2, 4, 8].includes(packed?.bits)) throw new Error('entries of an unknown size');
  const bytes = await unpack(decode(packed.lst), { maxOutputLength: (maxEntries * packed.bits) / 8 });
  return { bits: packed.bits, bytes, iat, exp, ttl };
}
