// A machine for tests: one clock that sleeps and one that can be set, timers, tabs that share a channel.
import { createHash } from 'node:crypto';

/** mulberry32: the same numbers for the same seed. */
export function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Lets everything that waits for nothing but promises go on. */
export const flush = () => new Promise(resolve => setImmediate(resolve));

export class Machine {
  /** True time, the monotonic clock (stands still in sleep if perfSleeps) and the wall clock's error; all ms. */
  time = 1_700_000_000_000;
  perf = 0;
  error = 0;
  timers = [];
  channels = [];
  ids = 0;

  constructor(seed = 1) {
    this.random = seeded(seed);
  }

  /** When a timer started now for ms is due: timers run with `awake`, the time the machine was not asleep. */
  awake = 0;

  setTimeout(fn, ms = 0) {
    const timer = { id: ++this.ids, at: this.awake + Math.max(1, Math.ceil(ms)), fn };
    this.timers.push(timer);
    return timer.id;
  }

  clearTimeout(id) {
    this.timers = this.timers.filter(t => t.id !== id);
  }

  /** Lets so many seconds pass, running what falls due. */
  async advance(seconds) {
    await flush();
    const end = this.awake + seconds * 1000;
    for (;;) {
      const next = this.timers.reduce((a, b) => (b.at <= end && (!a || b.at < a.at) ? b : a), undefined);
      if (!next) break;
      this.pass(Math.max(0, next.at - this.awake));
      this.clearTimeout(next.id);
      next.fn();
      await flush();
    }
    this.pass(end - this.awake);
  }

  pass(ms) {
    this.time += ms;
    this.perf += ms;
    this.awake += ms;
  }

  /** The lid is closed: time passes, nothing runs; the monotonic clock may stand still. */
  sleep(seconds, perfSleeps = false) {
    this.time += seconds * 1000;
    if (!perfSleeps) this.perf += seconds * 1000;
  }

  /** Somebody sets the wall clock. */
  jump(seconds) {
    this.error += seconds * 1000;
  }
}

class Emitter {
  listeners = [];
  addEventListener = (name, fn, options) => this.listeners.push({ name, fn, options });
  fire(name, event = {}) {
    for (const l of this.listeners.filter(l => l.name === name)) l.fn({ type: name, ...event });
  }
}

/** A tab: the part of a window that the SDK touches. `net(path, body, tab)` answers requests. */
export class Tab {
  window = new Emitter();
  document = new Emitter();
  visibility = 'visible';
  focused = false;
  online = true;
  frozen = false;
  opened = [];
  popups = true;
  went = [];
  stored = new Map();
  errors = [];
  requests = [];
  uncaught = [];

  constructor(machine, net, url = 'https://www.example.com/chat') {
    this.machine = machine;
    this.net = net;
    this.url = new URL(url);
    this.env = this.browser();
  }

  browser() {
    const { machine, window, document } = this;
    const tab = this;
    const env = {
      addEventListener: window.addEventListener,
      document: {
        addEventListener: document.addEventListener,
        get visibilityState() { return tab.visibility; },
        hasFocus: () => tab.focused,
      },
      navigator: { get onLine() { return tab.online; }, userAgent: 'test' },
      location: {
        get href() { return tab.url.href; },
        get origin() { return tab.url.origin; },
        get hash() { return tab.url.hash; },
        get pathname() { return tab.url.pathname; },
        get search() { return tab.url.search; },
        assign: url => tab.went.push(url),
        replace: url => tab.went.push(url),
      },
      history: { state: null, replaceState: (_, __, url) => { tab.url = new URL(url, tab.url); } },
      sessionStorage: {
        getItem: k => tab.stored.get(k) ?? null,
        setItem: (k, v) => void tab.stored.set(k, v),
        removeItem: k => void tab.stored.delete(k),
      },
      performance: { timeOrigin: machine.time + machine.error - machine.perf, now: () => machine.perf },
      Date: { now: () => machine.time + machine.error },
      Math: { random: () => machine.random() },
      setTimeout: (fn, ms) => machine.setTimeout(() => tab.frozen || fn(), ms),
      clearTimeout: id => machine.clearTimeout(id),
      queueMicrotask: fn => Promise.resolve().then(() => { try { fn(); } catch (e) { tab.uncaught.push(e); } }),
      crypto: {
        randomUUID: () => createHash('sha256').update(String(machine.random())).digest('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/, '$1-$2-$3-$4-$5'),
        subtle: { digest: async (_, bytes) => createHash('sha256').update(bytes).digest() },
      },
      AbortSignal: { timeout: ms => { const s = new Emitter(); machine.setTimeout(() => { s.aborted = true; s.fire('abort'); }, ms); return s; } },
      console: { error: (...args) => tab.errors.push(args) },
      fetch: (url, init) => this.fetch(url, init),
      open: (url, name, features) => this.open(url, name, features),
    };
    env.BroadcastChannel = class {
      constructor(name) {
        this.name = name;
        this.tab = tab;
        machine.channels.push(this);
      }
      postMessage(data) {
        const copy = structuredClone(data);
        for (const c of machine.channels) if (c !== this && c.name === this.name) c.tab.receive(c, copy);
      }
    };
    return env;
  }

  /** A frozen tab gets its messages when it thaws. */
  inbox = [];
  receive(channel, data) {
    const deliver = () => channel.onmessage?.({ data });
    this.frozen ? this.inbox.push(deliver) : Promise.resolve().then(deliver);
  }
  freeze() { this.frozen = true; }
  thaw() {
    this.frozen = false;
    for (const deliver of this.inbox.splice(0)) deliver();
  }

  fetch(url, init) {
    const { pathname } = new URL(url);
    const body = JSON.parse(init.body);
    this.requests.push({ path: pathname, body, url, init });
    return new Promise((resolve, reject) => {
      init.signal.addEventListener('abort', () => reject(new DOMException('timed out', 'TimeoutError')));
      if (!this.online) return reject(new TypeError('Failed to fetch'));
      const answer = this.net(pathname, body, this);
      if (!answer) return; // hangs
      if (answer instanceof Error) return reject(answer);
      this.machine.setTimeout(() => resolve(response(answer)), answer.delay ?? 10);
    });
  }

  open(url, name, features) {
    if (!this.popups) return null;
    const win = { closed: false, focused: 0, focus() { this.focused++; }, url, name, features };
    this.opened.push(win);
    return win;
  }

  /** What a person and a browser do. */
  hide() { this.visibility = 'hidden'; this.document.fire('visibilitychange'); }
  show() { this.visibility = 'visible'; this.document.fire('visibilitychange'); }
  click() { this.window.fire('pointerdown', { isTrusted: true }); }
  goOffline() { this.online = false; this.window.fire('offline'); }
  goOnline() { this.online = true; this.window.fire('online'); }
  message(data, source, origin = 'https://auth.example.com') { this.window.fire('message', { data, source, origin }); }
}

function response({ status = 200, body, text, headers = {} }) {
  return {
    ok: status >= 200 && status < 300,
    status,
    headers: new Headers(headers),
    json: async () => JSON.parse(text ?? JSON.stringify(body)),
  };
}
