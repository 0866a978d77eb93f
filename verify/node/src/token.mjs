import { compactVerify, errors } from 'jose';
import { RejectedError } from './errors.mjs';
import { decode, parseObject } from './json.mjs';

const maxHeader = 2 << 10;

/** The algorithms of contexts. */
export const algorithms = ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'];

/**
 * A JWS taken apart, not yet believed.
 * @typedef {{compact: string, alg: string, kid: string, payload: string}} Token
 */

/**
 * Takes a token apart and checks everything that needs no key.
 * @param {string} compact
 * @param {{types: string[], maxSize: number}} limits
 * @returns {Token}
 */
export function parse(compact, { types, maxSize }) {
  if (typeof compact !== 'string') throw new RejectedError('malformed', 'not a string');
  if (Buffer.byteLength(compact) > maxSize) throw new RejectedError('too_large', `more than ${maxSize} bytes`);
  const parts = compact.split('.');
  if (parts.length !== 3) throw new RejectedError('malformed', 'not three parts');
  wellFormed(() => decode(parts[2]));
  if (parts[0].length > maxHeader) throw new RejectedError('too_large', `header of more than ${maxHeader} bytes`);
  const header = wellFormed(() => parseObject(decode(parts[0])));
  return { compact, payload: parts[1], ...checkHeader(header, types) };
}

/**
 * Members that choose keys (jku, jwk, x5u, x5c) are never read.
 * @param {Record<string, any>} header
 * @param {string[]} types
 */
function checkHeader(header, types) {
  const [alg, kid, typ] = ['alg', 'kid', 'typ'].map((name) => header[name] ?? '');
  if ([alg, kid, typ].some((member) => typeof member !== 'string')) throw new RejectedError('malformed', 'header members of wrong types');
  if (['crit', 'b64', 'zip', 'enc'].some((name) => Object.hasOwn(header, name))) throw new RejectedError('header_unsupported', 'crit, b64, zip or enc');
  if (!types.includes(plainType(typ))) throw new RejectedError('type', 'of another kind of token');
  if (!algorithms.includes(alg)) throw new RejectedError('algorithm', 'not allowed');
  if (kid === '') throw new RejectedError('unknown_key', 'no kid');
  return { alg, kid };
}

/**
 * Makes media types comparable: case does not matter, "application/" may be left out (RFC 7515 §4.1.9).
 * @param {string} typ
 */
export const plainType = (typ) => typ.toLowerCase().replace(/^application\//, '');

/**
 * Verifies the signature with exactly the key's algorithm, and returns the payload.
 * @param {Token} token
 * @param {import('./keys.mjs').Key} key
 * @returns {Promise<Record<string, any>>}
 */
export async function believe(token, key) {
  try {
    await compactVerify(token.compact, key.public, { algorithms: [key.alg] });
  } catch (err) {
    if (err instanceof errors.JOSEError) throw new RejectedError('signature', 'does not verify');
    throw err;
  }
  return wellFormed(() => parseObject(decode(token.payload)));
}

/**
 * @template T
 * @param {() => T} read
 */
function wellFormed(read) {
  try {
    return read();
  } catch {
    throw new RejectedError('malformed', 'not base64url of a JSON object with distinct members');
  }
}
