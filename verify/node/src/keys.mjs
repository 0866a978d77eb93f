import { importJWK } from 'jose';
import { RejectedError, UnavailableError } from './errors.mjs';
import { Fetched, get } from './fetched.mjs';
import { decode, parseObject } from './json.mjs';

const maxMetadata = 64 << 10;
const maxKeySet = 512 << 10;
const maxKeys = 100;
const cooldown = 30; // seconds between two fetches for unknown keys, or of which one failed

/** @type {Record<string, string[]>} kty and crv */
const kinds = { ES256: ['EC', 'P-256'], ES384: ['EC', 'P-384'], EdDSA: ['OKP', 'Ed25519'], PS256: ['RSA'], RS256: ['RSA'] };
const secrets = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

/**
 * A key of the issuer for one algorithm. It signs from nbf to exp, in Unix seconds; undefined leaves that end open.
 * @typedef {{kid: string, alg: string, public: import('jose').CryptoKey | Uint8Array, nbf?: number, exp?: number}} Key
 */

/** The issuer's keys, found through its metadata (RFC 8414). */
export class Keys {
  #asked = -Infinity;

  /** @param {{issuer: string, fetch: typeof globalThis.fetch, now: () => number}} config */
  constructor({ issuer, fetch, now }) {
    this.now = now;
    this.set = new Fetched({
      now, cooldown, load: () => load(issuer, fetch),
      fresh: () => 60, // how long a key that was withdrawn in an emergency may still be believed
      waits: () => 300,
      until: (_, fetched) => fetched + 86400,
    });
  }

  /**
   * @param {{kid: string, alg: string}} token
   * @returns {Promise<Key>}
   * @throws {RejectedError} unknown_key, if the issuer has no such key
   * @throws {UnavailableError} if that cannot be told
   */
  async key({ kid, alg }) {
    const found = pick(await this.set.get(), kid, alg);
    if (found) return found;
    if (this.#mayAsk()) await this.set.refresh();
    const late = pick(this.set.value ?? [], kid, alg);
    if (late) return late;
    if (this.set.failure) throw new UnavailableError('the newest keys', this.set.failure);
    throw new RejectedError('unknown_key', 'the issuer publishes no such key for that algorithm');
  }

  /** Unknown keys are free to invent: they join a fetch that is under way, and cause one now and then. */
  #mayAsk() {
    if (this.set.fetching) return true;
    if (this.now() - this.#asked < cooldown || this.now() - this.set.fetched < 5) return false;
    this.#asked = this.now();
    return true;
  }
}

/** @type {(keys: Key[], kid: string, alg: string) => Key | undefined} */
const pick = (keys, kid, alg) => keys.find((key) => key.kid === kid && key.alg === alg);

/** @param {string} issuer @param {typeof fetch} fetcher */
async function load(issuer, fetcher) {
  const { origin, pathname } = new URL(issuer);
  const metadata = parseObject(await get(fetcher, `${origin}/.well-known/oauth-authorization-server${pathname.replace(/\/$/, '')}`, maxMetadata));
  if (metadata.issuer !== issuer) throw new Error('metadata of another issuer');
  const uri = new URL(metadata.jwks_uri);
  if (uri.origin !== origin) throw new Error('jwks_uri is not of the issuer\'s origin');
  return readKeySet(await get(fetcher, uri.href, maxKeySet));
}

/**
 * Keys that are dangerous or of no use are left out; a set with one id twice is not believed at all.
 * @param {Uint8Array} body
 */
async function readKeySet(body) {
  const { keys } = parseObject(body);
  if (!Array.isArray(keys) || keys.length > maxKeys) throw new Error('not a key set');
  const usable = (await Promise.all(keys.map(readKey))).filter((key) => key !== undefined);
  if (new Set(usable.map(({ kid }) => kid)).size !== usable.length) throw new Error('two keys with one id');
  return usable;
}

/**
 * @param {any} jwk
 * @returns {Promise<Key | undefined>}
 */
async function readKey(jwk) {
  if (!isUsable(jwk)) return undefined;
  const { kty, crv, x, y, n, e, kid, alg, nbf, exp } = jwk;
  try {
    if (kty === 'RSA') checkModulus(n);
    return { kid, alg, nbf, exp, public: await importJWK({ kty, crv, x, y, n, e }, alg) };
  } catch {
    return undefined;
  }
}

/** @param {any} jwk */
function isUsable(jwk) {
  const [kty, crv] = kinds[jwk?.alg] ?? [];
  return kty !== undefined && jwk.kty === kty && (crv === undefined || jwk.crv === crv) && typeof jwk.kid === 'string'
    && [undefined, '', 'sig'].includes(jwk.use) && (jwk.key_ops === undefined || (Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify')))
    && secrets.every((name) => !Object.hasOwn(jwk, name)) && [jwk.nbf, jwk.exp].every((t) => t === undefined || Number.isInteger(t));
}

/** @param {string} n */
function checkModulus(n) {
  const bits = BigInt(`0x${decode(n).toString('hex')}`).toString(2).length;
  if (bits < 2048 || bits > 8192) throw new Error('RSA modulus too short or too long');
}
