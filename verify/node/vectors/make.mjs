// Writes ../../testdata/vectors.json from cases.mjs: signs, and decides nothing. Run by hand after a change
// to the table: `npm run vectors`. It needs PyJWT (Debian: python3-jwt).
import { execFileSync } from 'node:child_process';
import { constants, createHmac, createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { CompactSign } from 'jose';
import { AUDIENCE, ISSUER, NOW, cases, claims, keySets, statusLists } from './cases.mjs';

const here = (file) => new URL(file, import.meta.url);
const { warning, keys } = JSON.parse(readFileSync(here('test-keys.json')));
const base64url = (bytes) => Buffer.from(bytes).toString('base64url');
const privateKey = (key) => createPrivateKey({ key, format: 'jwk' });

const toBePyJWT = []; // what PyJWT has to sign, all at once at the end: {job, done}

function publish(name, { private: secret, ...change }) {
  const { d, p, q, dp, dq, qi, ...open } = keys[name];
  return { ...open, ...(secret ? { d } : {}), ...change };
}

// withOpenSSL signs anything, as OpenSSL does it.
function withOpenSSL(job) {
  const input = `${base64url(job.header)}.${base64url(job.payload)}`;
  const hash = job.alg === 'EdDSA' ? null : job.alg === 'ES384' ? 'sha384' : 'sha256';
  const options = { key: privateKey(job.key), dsaEncoding: job.der ? 'der' : 'ieee-p1363' };
  if (job.alg === 'PS256') Object.assign(options, { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: job.salt ?? 32 });
  return `${input}.${base64url(sign(hash, Buffer.from(input), options))}`;
}

async function withJose({ header, payload, key }) {
  return new CompactSign(payload).setProtectedHeader(JSON.parse(header)).sign(privateKey(key));
}

const withPyJWT = (job) => new Promise((done) => toBePyJWT.push({ job, done }));

function signWaiting() {
  const jobs = toBePyJWT.map(({ job }) => ({
    header: JSON.parse(job.header), payload: base64url(job.payload), pem: privateKey(job.key).export({ type: 'pkcs8', format: 'pem' }),
  }));
  const tokens = JSON.parse(execFileSync('/usr/bin/python3', [here('sign.py').pathname], { input: JSON.stringify(jobs) }));
  tokens.forEach((token, i) => toBePyJWT[i].done(token));
}

// hmac signs with HS256 under the public key, as if that were a secret.
function hmac({ header, payload, key }) {
  const input = `${base64url(header)}.${base64url(payload)}`;
  const secret = createPublicKey(privateKey(key)).export({ type: 'spki', format: 'pem' });
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

// job is what a case wants signed.
function job(one, base, defaultKey, typ) {
  const key = keys[one.key ?? defaultKey];
  const { d, ...embedded } = key;
  const header = { alg: one.hmac ? 'HS256' : key.alg, kid: key.kid, typ, ...(one.embed && { jwk: embedded }), ...one.header };
  let payload = JSON.stringify({ ...base, ...one.claims });
  if (one.edit) {
    if (payload.split(one.edit[0]).length !== 2) throw new Error(`${one.name}: ${one.edit[0]} is not in it once`);
    payload = payload.replace(one.edit[0], () => one.edit[1]);
  }
  return {
    ...one, key, alg: key.kty === 'RSA' ? header.alg : key.alg,
    header: Buffer.from(one.rawHeader ?? JSON.stringify(header)), payload: Buffer.from(one.rawPayload ?? payload, one.latin1 ? 'latin1' : 'utf8'),
  };
}

// signer chooses the library: what libraries refuse to sign, OpenSSL does; else they take turns.
function signer(one, turn) {
  const odd = one.rawHeader || one.der || one.salt || one.hmac || ['alg', 'crit', 'b64', 'enc', 'zip', 'typ', 'kid'].some((name) => name in (one.header ?? {}));
  return one.by ?? (odd ? 'OpenSSL' : turn % 2 ? 'PyJWT' : 'jose');
}

// padded makes a good context of exactly that many characters.
function padded(one) {
  for (let extra = 0; extra < 4; extra++) {
    for (let n = 0; n < one.pad; n++) {
      const filled = job({ ...one, header: { x: 'x'.repeat(extra) }, claims: { pad: 'x'.repeat(n) } }, claims, 'es256', 'at+jwt');
      const length = base64url(filled.header).length + base64url(filled.payload).length + 86 + 2;
      if (length === one.pad) return filled;
      if (one.pad - length > 100) n += Math.floor((one.pad - length) / 2);
    }
  }
  throw new Error(`${one.name}: cannot be made so long`);
}

async function tokenOf(one, by) {
  const todo = one.pad ? padded(one) : job(one, claims, 'es256', 'at+jwt');
  const token = one.hmac ? hmac(todo) : await { OpenSSL: withOpenSSL, jose: withJose, PyJWT: withPyJWT }[by](todo);
  return one.token ? one.token(token) : token;
}

async function vector(one, turn) {
  const by = 'whole' in one ? undefined : signer(one, turn);
  return {
    name: one.name, why: one.why, ...(by && { signed_by: by }),
    now: NOW + (one.at ?? 0), issuer: ISSUER, audience: one.audience ?? AUDIENCE, options: one.options ?? {},
    key_set: one.keySet === undefined ? 'main' : one.keySet, status_lists: one.lists ?? null,
    token: one.whole ?? (await tokenOf(one, by)), verdict: one.verdict, reason: one.reason ?? null,
  };
}

// statusList makes one list (draft-ietf-oauth-status-list-20 §4, §5.1).
async function statusList(uri, one) {
  if (typeof one === 'string') return one;
  const bytes = Buffer.alloc((one.size * one.bits) / 8);
  for (const [index, value] of Object.entries(one.set)) bytes[Math.floor((index * one.bits) / 8)] |= value << ((index * one.bits) % 8);
  const lst = base64url(deflateSync(bytes).subarray(0, one.cut ? -6 : undefined));
  const base = { iss: ISSUER, sub: uri, iat: NOW, exp: NOW + 86400, ttl: 60, status_list: { bits: one.bits, lst } };
  return withJose(job(one, base, 'status', 'statuslist+jwt'));
}

async function mapValues(object, change) {
  return Object.fromEntries(await Promise.all(Object.entries(object).map(async ([name, value]) => [name, await change(value, name)])));
}

const vectors = Promise.all(cases.map(vector));
await new Promise(setImmediate);
signWaiting();
const document = {
  about: 'Conformance vectors for verifiers of chatpass contexts; docs/verify-elsewhere.md says how to run them. Made by verify/node/vectors/make.mjs: change the table there.',
  warning,
  key_sets: await mapValues(keySets, (set) => ({ keys: Object.entries(set).filter(([, change]) => change).map(([name, change]) => publish(name, change)) })),
  status_lists: await mapValues(statusLists, (lists) => mapValues(lists, (one, uri) => statusList(uri, one))),
  vectors: await vectors,
};
writeFileSync(here('../../testdata/vectors.json'), JSON.stringify(document, null, 1) + '\n');
const count = (by) => document.vectors.filter((v) => v.signed_by === by).length;
console.log(`${cases.length} vectors: ${count('jose')} signed by jose, ${count('PyJWT')} by PyJWT, ${count('OpenSSL')} by OpenSSL`);
