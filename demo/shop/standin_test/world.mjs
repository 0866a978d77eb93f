// A page, a browser and a vendor's server of a few lines each, for the stand-in's tests.
import { StandIn } from '../web/standin/core.mjs';

/** A browser's storage, which tabs may share. */
export function newStorage() {
  const kept = new Map();
  return {
    getItem: key => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: key => void kept.delete(key),
    get size() {
      return kept.size;
    },
  };
}

/** Timers that run when the test says so. */
function newTimers() {
  let now = 0;
  let pending = [];
  return {
    now: () => now,
    set(run, ms) {
      const timer = { run, at: now + ms };
      pending.push(timer);
      return timer;
    },
    clear: timer => void (pending = pending.filter(t => t !== timer)),
    async advance(ms) {
      const end = now + ms;
      for (;;) {
        const next = pending.filter(t => t.at <= end).sort((a, b) => a.at - b.at)[0];
        if (!next) break;
        pending = pending.filter(t => t !== next);
        now = next.at;
        next.run();
        await settle();
      }
      now = end;
      await settle();
    },
  };
}

/** Lets everything that can happen now happen. */
export const settle = () => new Promise(resolve => setImmediate(resolve));

/**
 * A widget in a world that writes down what it does. `answers` says, by call, what the vendor's server
 * replies: an object, or a function of the request.
 */
export function newWorld({ answers = {}, shared = newStorage(), tab = newStorage(), testMode = false } = {}) {
  const world = { did: [], requests: [], errors: [], warnings: [], model: undefined, hosts: [], shared, tab, timers: newTimers(), answers };
  const server = name => async request => {
    world.requests.push([name, request]);
    const answer = world.answers[name] ?? {};
    return name === 'load' ? { show: true, ...(await reply(answer, request)) } : { session: 's-1', ...(await reply(answer, request)) };
  };
  const reply = (answer, request) => (typeof answer === 'function' ? answer(request) : answer);
  world.widget = new StandIn({
    connect(host) {
      world.hosts.push(host);
      return Object.fromEntries(['load', 'open', 'authenticate', 'message', 'clear'].map(name => [name, server(name)]));
    },
    view: {
      mount: () => world.did.push('mount'),
      unmount: () => world.did.push('unmount'),
      render: model => void (world.model = model),
    },
    shared,
    tab,
    timers: world.timers,
    log: { error: (...line) => world.errors.push(line.join(' ')), warn: (...line) => world.warnings.push(line.join(' ')) },
    testMode,
  });
  world.call = async (...args) => {
    world.widget.call(...args);
    await settle();
  };
  world.say = async text => {
    world.widget.say(text);
    await settle();
  };
  /** The requests of one kind. */
  world.sent = name => world.requests.filter(([n]) => n === name).map(([, request]) => request);
  world.state = () => {
    let state;
    world.widget.call('getState', s => (state = s));
    return state;
  };
  return world;
}

/** A ContextProvider that writes down how it is called and answers with tokens t-1, t-2, … */
export function newProvider() {
  const provider = (callback, needsRefresh) => {
    provider.calls.push(needsRefresh);
    callback({ Auth: { Token: `t-${provider.calls.length}` } });
  };
  provider.calls = [];
  return provider;
}

export const SETTINGS = { APIHostname: 'api.example', AppId: 'app' };

/** A widget that has loaded. */
export async function loaded(options = {}, settings = {}) {
  const world = newWorld(options);
  await world.call('load', { ...SETTINGS, ...settings });
  return world;
}
