// STAND-IN of the ASAPP Chat SDK: what it does, without a browser. Not the vendor's software.
//
// Commands, arguments, events and their order follow the vendor's public documents. Where these are
// silent, and where the vendor's published iOS source fills the gap, the comments say so.

import { askProvider } from './provider.mjs';
import { newStore } from './store.mjs';

/** Milliseconds without a key after which typing counts as a new burst. */
const BURST = 1000;
/** Retries of a context that the company refused even when new, and the wait before the first (iOS source). */
const RETRIES = 5;
const RETRY_AFTER = 3000;

const COMMANDS = [
  'load', 'setCustomer', 'set', 'send', 'getState', 'on', 'off', 'show', 'hide', 'refresh',
  'setIntent', 'showChatInstead', 'unload', 'unloadAndClearSession',
];

const isFunction = f => typeof f === 'function';

/**
 * One widget on one page.
 *
 * `env` is all that it needs of the world: `connect(host)` gives the vendor's server (load, open,
 * authenticate, message, clear: each takes an object and resolves to the reply), `view` shows it (mount,
 * unmount, render), `shared` and `tab` are the browser's storages, `timers` has set, clear and now, `log`
 * has warn and error. In `testMode` a context that stays refused leads to the Sign In button at once.
 */
export class StandIn {
  /** How often ContextProvider was called. */
  providerCalls = 0;
  held = {};
  known = {};
  messages = [];
  events = new EventTarget();
  isLoggingIn = false;
  isLive = false;
  isOpen = false;
  signIn = false;
  notice = '';
  unread = 0;
  waiting = 0;
  lastKey = -Infinity;
  /** Answers from before the last unload are void; an answer for an earlier identity is asked for again. */
  life = 0;
  identity = 0;

  constructor(env) {
    this.env = env;
    this.shared = newStore(env.shared);
    this.tab = newStore(env.tab);
  }

  /** ASAPP(command, ...args): never returns anything and never throws. */
  call(command, ...args) {
    const { log } = this.env;
    if (command === 'SetCustomer') {
      log.warn("ASAPP: the command is called 'setCustomer'");
      command = 'setCustomer';
    }
    if (!COMMANDS.includes(command)) return log.error(`ASAPP: unknown command ${String(command)}`);
    try {
      const done = this[command](...args);
      if (done instanceof Promise) done.catch(e => log.error('ASAPP:', e));
    } catch (e) {
      log.error('ASAPP:', e);
    }
  }

  // Commands.

  async load(settings = {}) {
    const { log, connect } = this.env;
    const host = settings.APIHostname ?? settings.APIHostName;
    if (!host || !settings.AppId) return log.error('ASAPP load: APIHostname and AppId are required');
    if (settings.CustomerId && !isFunction(settings.ContextProvider)) {
      return log.error('ASAPP load: CustomerId needs a ContextProvider');
    }
    if (this.settings) return log.warn('ASAPP load: loaded already');
    if (!settings.APIHostname) log.warn("ASAPP load: the setting is called 'APIHostname'");
    this.settings = settings;
    this.server = connect(host);
    this.adopt(settings);
    await this.evaluate();
  }

  setCustomer(settings = {}) {
    const { CustomerId, ContextProvider } = settings;
    if (typeof CustomerId !== 'string' || CustomerId === '') {
      return this.env.log.error('ASAPP setCustomer: CustomerId is required');
    }
    if (!isFunction(ContextProvider)) return this.env.log.error('ASAPP setCustomer: ContextProvider is required');
    this.adopt(settings);
    if (this.mounted) return this.authenticate();
  }

  set(key, value) {
    this.held = { ...this.held, [key]: value };
    this.known = { ...this.known, [key]: value };
  }

  getState(callback) {
    callback({
      hasContext: this.known,
      hasCustomerId: !!this.customerId,
      isFullscreen: false,
      isLiveChat: this.isLive,
      isLoggingIn: this.isLoggingIn,
      isMobile: false,
      isOpen: this.isOpen || this.tab.get('open') === 'yes',
      unreadMessages: this.unread,
    });
  }

  on(event, handler) {
    this.events.addEventListener(event, handler);
  }

  off(event, handler) {
    this.events.removeEventListener(event, handler);
  }

  async show() {
    if (!this.mounted || this.isOpen || !this.emit('chat:show', {}, true)) return;
    this.isOpen = true;
    this.unread = 0;
    this.tab.set('open', 'yes');
    this.render();
    await this.request('open');
  }

  hide() {
    if (!this.isOpen || !this.emit('chat:hide', {}, true)) return;
    this.isOpen = false;
    this.tab.set('open', '');
    this.render();
  }

  /** Looks at the triggers again; credentials are no part of that. */
  refresh() {
    if (this.settings && !this.mounted) return this.evaluate();
  }

  unload() {
    if (!this.isOpen && !this.isLive) this.tearDown();
  }

  /** The sign-out. */
  async unloadAndClearSession() {
    const { server } = this;
    const session = this.shared.get('session');
    this.shared.clear();
    this.tab.clear();
    this.tearDown();
    Object.assign(this, { held: {}, known: {}, messages: [], isOpen: false, isLive: false, isLoggingIn: false, signIn: false, notice: '', unread: 0 });
    this.customerId = this.provider = this.issue = undefined;
    if (session && server) await server.clear({ session });
  }

  send() {
    this.env.log.warn('ASAPP send: the stand-in keeps no analytics');
  }

  setIntent() {
    this.env.log.warn('ASAPP setIntent: the stand-in knows no intents');
  }

  showChatInstead() {
    this.env.log.warn('ASAPP showChatInstead: the stand-in is not for phones');
  }

  // What the person does.

  /** A key in the text field: the page is asked once for each burst of typing. */
  async typed() {
    const now = this.env.timers.now();
    const burst = now - this.lastKey > BURST;
    this.lastKey = now;
    if (burst) await this.context(false);
  }

  async say(text) {
    this.messages = [...this.messages, { from: 'customer', text }];
    await this.request('message', { text });
  }

  /** The Sign In button. Without a handler an anonymous person stays anonymous. */
  signInClicked() {
    const { UserLoginHandler } = this.settings ?? {};
    if (!isFunction(UserLoginHandler)) return;
    this.isLoggingIn = true;
    const { CompanySubdivision, ExternalSessionId, ExternalSessionType } = this.known;
    try {
      UserLoginHandler({ CompanySubdivision, ExternalSessionId, ExternalSessionType });
    } catch (e) {
      this.env.log.error('ASAPP: UserLoginHandler threw', e);
    }
  }

  // How it works.

  adopt({ CustomerId, ContextProvider, UserLoginHandler }) {
    this.identity++;
    this.customerId = CustomerId || undefined;
    this.provider = ContextProvider;
    if (UserLoginHandler && this.settings) this.settings = { ...this.settings, UserLoginHandler };
  }

  /** Asks the API host whether the chat shows here, and shows it. */
  async evaluate() {
    const { life, settings } = this;
    const { show } = await this.server.load({ appId: settings.AppId }).catch(e => {
      this.env.log.error('ASAPP load: the API host did not answer', e);
      return { show: false };
    });
    if (life !== this.life) return;
    if (show) {
      this.mounted = true;
      this.env.view.mount(this);
      this.render();
    }
    if (isFunction(settings.onLoadComplete)) settings.onLoadComplete(!!show);
    if (!show || life !== this.life) return;
    const opening = this.tab.get('open') === 'yes' && this.show();
    if (this.customerId) await this.authenticate();
    await opening;
  }

  tearDown() {
    this.life++;
    this.waiting = 0;
    if (this.mounted) this.env.view.unmount();
    this.mounted = this.settings = undefined;
  }

  /** The person has become known: shows their conversation and goes on with what waited for it. */
  async authenticate() {
    const { identity, life } = this;
    const reply = await this.request('authenticate');
    if (identity !== this.identity || life !== this.life) return;
    this.isLoggingIn = false;
    this.render();
    if (reply?.history && reply.pending) await this.request('message', { resume: true });
  }

  /**
   * Asks the page for its context, once. Its answer wins over what was set before.
   * @param {boolean} needsRefresh The last one was refused as expired.
   */
  async context(needsRefresh) {
    const { identity, life } = this;
    if (this.provider) this.providerCalls++;
    const given = this.provider ? await askProvider(this.env, this.provider, needsRefresh) : {};
    if (identity === this.identity && life === this.life) this.known = { ...this.held, ...given };
    return { ...this.held, ...given };
  }

  /** Sends a request, with a new context and again if the company says that the context has expired. */
  async request(kind, body = {}) {
    const { life } = this;
    this.busy(1);
    try {
      return await this.attempt(kind, body, life);
    } catch (e) {
      if (life !== this.life) return undefined;
      this.env.log.error('ASAPP: the chat service did not answer', e);
      this.notice = 'The chat service did not answer. Please try again.';
    } finally {
      if (life === this.life) this.busy(-1);
    }
  }

  /**
   * Tries until the company has said yes or no. Each try asks the page once; if the person has changed
   * meanwhile, it is theirs.
   */
  async attempt(kind, body, life) {
    let asked = this.identity;
    let refused = 0;
    let heard = false;
    for (;;) {
      const { identity } = this;
      if (identity !== asked) [asked, refused] = [identity, 0];
      const context = await this.context(refused > 0);
      if (life !== this.life) return undefined;
      if (identity !== this.identity) continue;
      const sent = { ...body, session: this.shared.get('session'), customerId: this.customerId, context };
      const reply = await this.server[kind](heard ? { ...sent, resume: true } : sent);
      if (life !== this.life) return undefined;
      heard = true;
      this.take(kind === 'open' && this.messages.length > 0 ? { ...reply, history: undefined } : reply);
      if (reply.error !== 'token_expired') return reply;
      if (identity === this.identity && !(await this.mayRetry(++refused))) return reply;
      if (life !== this.life) return undefined;
    }
  }

  /** The first refusal is answered at once with a new context; after that it takes patience. */
  async mayRetry(refused) {
    const retry = refused - 1;
    if (retry === 0) return true;
    if (this.env.testMode || retry > RETRIES) {
      this.signIn = true;
      this.notice = '';
      this.render();
      return false;
    }
    this.notice = 'Your sign-in is not accepted at the moment. Trying again…';
    this.render();
    await new Promise(resume => this.env.timers.set(resume, RETRY_AFTER * retry));
    return true;
  }

  /** Takes over what the vendor's server says. */
  take(reply) {
    if (reply.session) this.shared.set('session', reply.session);
    const added = reply.append ?? [];
    const first = this.messages.length === 0;
    this.messages = [...(reply.history ?? this.messages), ...added];
    this.signIn = !!reply.signIn || reply.error === 'invalid_auth';
    this.notice = '';
    this.number = reply.customerNumber;
    this.tellIssue(reply);
    if (reply.live && !this.isLive) this.emit('agent:assigned');
    this.isLive = !!reply.live;
    for (const m of added.filter(m => m.from !== 'customer')) this.tellMessage(m, first);
    if (reply.settled && this.settled !== reply.issueId) {
      this.settled = reply.issueId;
      this.emit('issue:end');
    }
    this.render();
  }

  tellIssue({ issueId }) {
    if (!issueId || issueId === this.issue) return;
    this.issue = issueId;
    this.emit('issue:new');
  }

  tellMessage({ from }, isFirstMessage) {
    if (!this.isOpen) this.unread++;
    this.emit('message:received', { senderType: from === 'agent' ? 'agent' : 'srs', isLiveChat: this.isLive, isFirstMessage });
  }

  emit(type, extra = {}, cancelable = false) {
    const detail = { issueId: this.issue, customerId: this.number, externalSenderId: this.customerId, ...extra };
    return this.events.dispatchEvent(new CustomEvent(type, { detail, cancelable }));
  }

  busy(change) {
    this.waiting = Math.max(0, this.waiting + change);
    this.render();
  }

  render() {
    if (!this.mounted) return;
    const { isOpen, messages, signIn, notice, unread, waiting, isLive } = this;
    this.env.view.render({ isOpen, messages, signIn, notice, unread, isLive, busy: waiting > 0 });
  }
}
