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
  /** @type {T | undefined} */
  value;
  fetched = -Infinity;
  /** @type {unknown} */
  failure;
  /** @type {Promise<void> | undefined} */
  fetching;

  /**
   * @param {object} how
   * @param {(last: T | undefined) => Promise<T>} how.load what takes the place of the last one
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
    const held = this.#usable();
    const age = this.how.now() - this.fetched;
    if (held !== undefined && age < this.how.waits(held)) {
      if (age >= this.how.fresh(held) && !this.#resting()) void this.refresh();
      return held;
    }
    if (!this.#resting()) await (held === undefined ? this.refresh() : atMost(patience, this.refresh()));
    const newest = this.#usable();
    if (newest === undefined) throw new UnavailableError('a document of the issuer', this.failure);
    return newest;
  }

  #usable() {
    return this.value !== undefined && this.how.now() < this.how.until(this.value, this.fetched) ? this.value : undefined;
  }

  /** If there is nothing to fall back on, the rest after a failure is short. */
  #resting() {
    return this.#failed && !this.fetching && this.how.now() - this.#tried < (this.#usable() === undefined ? 1 : this.how.cooldown);
  }

  /** Fetches now, or joins who does. Afterwards `failure` is undefined, or why there is no newer one. */
  refresh() {
    this.fetching ??= this.#fetch().finally(() => (this.fetching = undefined));
    return this.fetching;
  }

  async #fetch() {
    const started = (this.#tried = this.how.now());
    try {
      this.value = await this.how.load(this.value);
      this.fetched = started;
      this.failure = undefined;
    } catch (err) {
      this.failure = err;
    }
    this.#failed = this.failure !== undefined;
  }
}

/** @param {number} milliseconds @param {Promise<void>} promise */
async function atMost(milliseconds, promise) {
  const timer = new AbortController();
  await Promise.race([promise, pause(milliseconds, undefined, { signal: timer.signal }).catch(() => {})]);
  timer.abort();
}
