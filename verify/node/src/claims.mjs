import { RejectedError } from './errors.mjs';

const maxActors = 3;
const maxInstant = 253402300799; // the end of the year 9999
const reserved = [
  'iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'act', 'may_act', 'cnf', 'client_id', 'scope', 'sid', 'status', 'chat', 'auth_time',
  'acr', 'amr', 'idp', 'azp', 'nonce', 'at_hash', 'c_hash', 'events', 'sub_id', 'txn',
];

/**
 * Who acts for the customer (RFC 8693 §4.1). `actor` acted before: history, not a ground for decisions.
 * @typedef {{issuer?: string, subject?: string, clientId?: string, actor?: Actor}} Actor
 */

/**
 * What a verified context says. Times are Unix seconds.
 * @typedef {object} Context
 * @property {string} issuer `iss`
 * @property {string} customer `sub`: the person, stable for one app. Decide by it, never by a name in claims.
 * @property {string[]} audience `aud`
 * @property {string} clientId who asked for it
 * @property {string[]} scope what it may be used for
 * @property {number} issuedAt `iat`
 * @property {number} expires `exp`
 * @property {number} [notBefore] `nbf`
 * @property {string} id `jti`
 * @property {string} [sid] its session
 * @property {string} [idp] the upstream issuer's name
 * @property {number} [authTime] when, how and by what means the customer signed in
 * @property {string} [acr]
 * @property {string[]} [amr]
 * @property {{version: 1, app: string, origin?: string, conversation?: string}} chat where it is used: it narrows, and proves nothing
 * @property {Actor} [actor] who acts for the customer
 * @property {{index: number, uri: string}} [status] its session's place in a status list
 * @property {number} [statusAge] how many seconds old the status list was that vouched for it
 * @property {Record<string, unknown>} claims what the app maps
 */

/**
 * Reads the claims of a verified signature.
 * @param {Record<string, any>} payload
 * @param {string} issuer whose status lists are believed
 * @returns {Context}
 */
export function readContext(payload, issuer) {
  return {
    issuer: need(payload, 'iss', text), customer: need(payload, 'sub', text), audience: need(payload, 'aud', audience),
    clientId: need(payload, 'client_id', text), issuedAt: need(payload, 'iat', instant), expires: need(payload, 'exp', instant),
    notBefore: take(payload, 'nbf', instant), id: need(payload, 'jti', text), sid: take(payload, 'sid', string),
    idp: take(payload, 'idp', string), authTime: take(payload, 'auth_time', instant), acr: take(payload, 'acr', string),
    amr: take(payload, 'amr', strings), scope: (take(payload, 'scope', string) ?? '').split(/\s+/).filter(Boolean),
    chat: need(payload, 'chat', chat), actor: take(payload, 'act', actor(maxActors)),
    status: take(payload, 'status', (value) => place(take(object(value), 'status_list', object), issuer)),
    claims: Object.fromEntries(Object.entries(payload).filter(([name]) => !reserved.includes(name))),
  };
}

/** Each kind of claim below returns its value, or throws this, which `take` gives a name. */
class Unfit extends Error {}

/**
 * A claim if it is there, as its kind reads it.
 * @template T
 * @param {Record<string, any>} members
 * @param {string} name
 * @param {(value: any) => T} kind
 * @returns {T | undefined}
 */
function take(members, name, kind) {
  if (!Object.hasOwn(members, name)) return undefined;
  try {
    return kind(members[name]);
  } catch (err) {
    if (err instanceof Unfit) throw new RejectedError('claim_invalid', name);
    throw err;
  }
}

/**
 * A claim that must be there.
 * @template T
 * @param {Record<string, any>} members
 * @param {string} name
 * @param {(value: any) => T} kind
 * @returns {T}
 */
function need(members, name, kind) {
  if (!Object.hasOwn(members, name)) throw new RejectedError('claim_missing', name);
  return /** @type {T} */ (take(members, name, kind));
}

/**
 * The value, if it is as it must be.
 * @template T
 * @param {unknown} condition
 * @param {T} value
 */
function fits(condition, value) {
  if (!condition) throw new Unfit();
  return value;
}

/** @type {(value: any) => string} */
const string = (value) => fits(typeof value === 'string', value);
/** @type {(value: any) => string} */
const text = (value) => fits(typeof value === 'string' && value !== '', value);
/** @type {(value: any) => string[]} */
const strings = (value) => fits(Array.isArray(value) && value.every((v) => typeof v === 'string'), value);
/** @type {(value: any) => Record<string, any>} */
const object = (value) => fits(value !== null && typeof value === 'object' && !Array.isArray(value), value);
/** @type {(value: any) => number} */
const instant = (value) => fits(typeof value === 'number' && value >= 0 && value <= maxInstant, value);
/** @type {(value: any) => string[]} */
const audience = (value) => (typeof value === 'string' ? [text(value)] : fits(strings(value).length > 0, value));

/** @type {(value: any) => Context['chat']} */
function chat(value) {
  const members = object(value);
  if ((take(members, 'ver', (v) => fits(typeof v === 'number', v)) ?? 0) !== 1) throw new RejectedError('chat_version', 'not 1');
  return { version: 1, app: need(members, 'app', text), origin: take(members, 'origin', string), conversation: take(members, 'conversation', string) };
}

/** @type {(depth: number) => (value: any) => Actor} */
const actor = (depth) => (value) => {
  const members = object(value);
  fits(depth > 0, members);
  const one = {
    issuer: take(members, 'iss', string), subject: take(members, 'sub', string), clientId: take(members, 'client_id', string),
    actor: take(members, 'act', actor(depth - 1)),
  };
  return fits(one.subject || one.clientId, one);
};

/**
 * Only the issuer speaks for its sessions, at one address for each list.
 * @param {Record<string, any> | undefined} members
 * @param {string} issuer
 * @returns {{index: number, uri: string}}
 */
function place(members, issuer) {
  const { idx: index, uri: at } = object(members);
  fits(Number.isInteger(index) && index >= 0, index);
  const base = issuer.replace(/\/$/, '') + '/status/';
  const uri = string(at);
  fits(uri.startsWith(base) && /^[A-Za-z0-9._-]{1,128}$/.test(uri.slice(base.length)) && !/^\.\.?$/.test(uri.slice(base.length)), uri);
  return { index, uri };
}
