import { CompactSign } from 'jose';
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { Verifier } from '../src/verifier.mjs';
import { AUDIENCE, ISSUER, LIST, NOW, claims } from '../vectors/cases.mjs';

const { keys } = JSON.parse(readFileSync(new URL('../vectors/test-keys.json', import.meta.url)));
const keysURL = `${ISSUER}/.well-known/jwks.json`;

/** An issuer without a network, at a clock that a test moves. */
export class Issuer {
  seconds = NOW;
  asked = []; // the addresses, in their order
  answers = {}; // instead of the true ones: text, or a promise of it
  down = false;
  published = ['es256', 'status'];
  ended = []; // indexes
  ttl = 60;
  listLife = 86400;

  verifier(options = {}) {
    return new Verifier({ issuer: ISSUER, audience: AUDIENCE, now: () => this.seconds * 1000, fetch: (url) => this.fetch(url), ...options });
  }

  async fetch(url) {
    this.asked.push(url);
    if (this.down) throw new TypeError('fetch failed');
    return new Response(await (this.answers[url] ?? this.document(url)));
  }

  document(url) {
    if (url === keysURL) return JSON.stringify({ keys: this.published.map(publicHalf) });
    if (url.startsWith(`${ISSUER}/status/`)) return this.list(url);
    return JSON.stringify({ issuer: ISSUER, jwks_uri: keysURL });
  }

  list(uri) {
    const bytes = Buffer.alloc(128);
    for (const index of this.ended) bytes[index >> 3] |= 1 << (index & 7);
    const status_list = { bits: 1, lst: deflateSync(bytes).toString('base64url') };
    return sign('status', 'statuslist+jwt', { iss: ISSUER, sub: uri, iat: this.seconds, exp: this.seconds + this.listLife, ttl: this.ttl, status_list });
  }

  /** A context made now, with changed claims. */
  context(change = {}, key = 'es256') {
    return sign(key, 'at+jwt', { ...claims, iat: this.seconds, exp: this.seconds + 600, ...change });
  }

  times(path) {
    return this.asked.filter((url) => url.endsWith(path)).length;
  }
}

export const inList = (idx, uri = LIST) => ({ status: { status_list: { idx, uri } } });

function publicHalf(name) {
  const { d, p, q, dp, dq, qi, ...open } = keys[name];
  return open;
}

function sign(name, typ, payload) {
  const key = createPrivateKey({ key: keys[name], format: 'jwk' });
  const header = { alg: keys[name].alg, kid: keys[name].kid, typ };
  return new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader(header).sign(key);
}
