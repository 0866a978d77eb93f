import { setTimeout as pause } from 'node:timers/promises';
import { UnavailableError } from './errors.mjs';

const patience = 2000; // milliseconds that a request waits when there is something to fall back on

/**
 * Gets a document, if it is there and not longer than `limit` bytes.
 * @param {typeof fetch} fetcher
 * @param {string} url
 * @param {number} limit
 * @returns {Promise<Buffer>}
 */
export async function get(fetcher, url, limit) {
  const response = await fetcher(url, { redirect: 'error', signal: AbortSignal.timeout(5000) });
  if (response.status !== 200) throw new Error(`${url}: status ${response.status}`);
  const chunks = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > limit) throw new Error(`${url}: more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * One document of the issuer, fetched when it is asked for and kept for a while. One fetch at a time serves
 * everybody who waits. Times are seconds of the clock.
 * @template T
 */
export class Fetched {
  #tried = -Infinity;
  #failed = false;

  /**
   * @param {object} how
   * @param {() => Promise<T>} how.load
   * @param {() => number} how.now
   * @param {(value: T) => number} how.fresh for how long it is used without asking again
   * @param {(value: T) => number} how.waits at what age a request waits for the next one; younger, it is fetched in the background
   * @param {(value: T, fetched: number) => number} how.until when it may not be used any more, if no other can be had
   * @param {number} how.cooldown for how long nobody is asked again after a failure, when there is one to fall back on
   */
  constructor(how) {
    this.how = how;
  }

  /**
   * @returns {Promise<T>}
   * @throws {UnavailableError}
   */
  async get() {
    const age = this.how.now() - this.fetched;
    if (this.#usable() && age < this.how.waits(this.value)) {
      if (age >= this.how.fresh(this.value) && !this.#resting()) void this.refresh();
      return this.value;
    }
    const usable = this.#usable();
    if (!this.#resting()) await (usable ? atMost(patience, this.refresh()) : this.refresh());
    if (!this.#usable()) throw new UnavailableError('a document of the issuer', this.failure);
    return this.value;
  }

  #usable() {
    return this.value !== undefined && this.how.now() < this.how.until(this.value, this.fetched);
  }

  /** If there is nothing to fall back on, the rest after a failure is short. */
  #resting() {
    return this.#failed && !this.fetching && this.how.now() - this.#tried < (this.#usable() ? this.how.cooldown : 1);
  }

  /** Fetches now, or joins who does. Afterwards `failure` is undefined, or why there is no newer one. */
  refresh() {
    this.fetching ??= this.#fetch().finally(() => (this.fetching = undefined));
    return this.fetching;
  }

  async #fetch() {
    const started = (this.#tried = this.how.now());
    try {
      this.value = await this.how.load();
      this.fetched = started;
      this.failure = undefined;
    } catch (err) {
      this.failure = err;
    }
    this.#failed = this.failure !== undefined;
  }
}

async function atMost(milliseconds, promise) {
  const timer = new AbortController();
  await Promise.race([promise, pause(milliseconds, undefined, { signal: timer.signal }).catch(() => {})]);
  timer.abort();
}
