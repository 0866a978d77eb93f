// The service as the SDK sees it, and a page wired to it.
import { Machine, Tab, flush } from './machine.mjs';

export { Machine, Tab, flush };
export const { create } = await import(process.env.CHATPASS_SDK ?? '../dist/chatpass.js');

export const HOST = 'https://auth.example.com';

/** A refusal of the contract, section 4. */
export const refusal = (status, code, retry, extra = {}) => ({
  status,
  headers: extra.retry_after ? { 'retry-after': String(extra.retry_after) } : {},
  body: { error: 'e', error_description: 'd', code, reason: 'r', retry, request_id: 'req-1', login: null, retry_after: null, ...extra },
});

export class Service {
  customer = undefined;
  sid = 'sid-1';
  life = 600;
  renewIn = 360;
  floor = 60;
  sessionEnds = 36000;
  issued = 0;
  /** Paths answered in a special way: a function or a queue of answers. */
  special = {};
  /** When each token ends, in true time. */
  ends = new Map();
  /** What E3 says. */
  status = { status: 'pending' };

  constructor(machine) {
    this.machine = machine;
  }

  answer = (path, body, tab) => {
    const special = this.special[path];
    const given = typeof special === 'function' ? special(body, tab) : special?.length ? special.shift() : undefined;
    if (given !== undefined) return given;
    if (path === '/v1/context') return this.context(body);
    if (path === '/v1/session') return this.grant(201);
    if (path === '/v1/login/status') return { body: this.status };
    if (path === '/v1/logout') return this.logout();
    throw new Error('no such path ' + path);
  };

  context({ cause, expected_customer: expected }) {
    if (!this.customer && cause === 'load') return { body: { active: false, reason: 'no_session' } };
    if (!this.customer) return refusal(401, 'CP-401', 'login', { error: 'login_required', reason: 'no_session' });
    if (expected && expected !== this.customer) return refusal(409, 'CP-407', 'no', { error: 'user_mismatch' });
    return this.grant(200);
  }

  grant(status) {
    const { machine, life, renewIn, floor, customer, sid } = this;
    const jti = 'jti-' + ++this.issued;
    const payload = { exp: Math.floor(machine.time / 1000) + life, scope: 'chat:read chat:write', jti, sub: customer };
    const token = ['{}', JSON.stringify(payload), 'sig'].map(s => Buffer.from(s).toString('base64url')).join('.');
    this.ends.set(token, machine.time + life * 1000);
    const context = { token, jti, scope: payload.scope, expires_at: payload.exp, expires_in: life, renew_in: renewIn, min_handout: floor };
    return { status, body: { active: true, customer_id: customer, session: { sid, expires_in: this.sessionEnds, idle_expires_in: 3600 }, context } };
  }

  logout() {
    this.customer = undefined;
    return { body: { end_session_url: HOST + '/v1/logout/start?l=x' } };
  }
}

/** One page: a tab with the SDK, its events and the calls of its widget. */
export function page(service, options = {}) {
  const { cfg = {}, tab = new Tab(service.machine, service.answer), attach = true, settings = { APIHostname: 'h', AppId: 'a' }, before } = options;
  before?.(tab);
  const chat = create({ clientId: 'web-1', authHost: HOST, ...cfg, env: tab.env });
  const events = [];
  for (const name of ['state', 'login', 'logout', 'usermismatch', 'degraded', 'expiring', 'error']) chat.on(name, data => events.push({ name, ...data }));
  const calls = [];
  const asapp = (...args) => calls.push(args);
  if (attach) chat.attach(asapp, settings);
  return {
    tab, chat, events, calls, asapp, service,
    requests: path => tab.requests.filter(r => r.path === path).map(r => r.body),
    of: name => events.filter(e => e.name === name),
    states: () => events.filter(e => e.name === 'state').map(e => e.state),
    /** The ContextProvider, as a promise; says also if it answered at once. */
    ask(needsRefresh = false) {
      const answers = [];
      chat.contextProvider(c => answers.push(c), needsRefresh);
      return { sync: answers[0], get all() { return answers; } };
    },
  };
}

/** A page with a signed-in person, ready. */
export async function ready(options = {}) {
  const machine = options.machine ?? new Machine(options.seed);
  const service = Object.assign(options.service ?? new Service(machine), { customer: 'c-1' }, options.serve);
  const p = page(service, options);
  await machine.advance(1);
  return { ...p, machine, service };
}

/** A page where nobody is signed in. */
export async function anonymous(options = {}) {
  const machine = options.machine ?? new Machine(options.seed);
  const service = Object.assign(options.service ?? new Service(machine), options.serve);
  const p = page(service, options);
  await machine.advance(1);
  return { ...p, machine, service };
}
