// The panel beside the shop: it shows what the wiring does, and is no part of it.
'use strict';

const STATES = {
  INIT: 'Not asked for yet.',
  CHECKING: 'Asking whether anybody is signed in.',
  ANON: 'Nobody is signed in. The chat is anonymous.',
  READY: 'Signed in, with a context that can be used at once.',
  RENEWING: 'Fetching a new context while the old one is still good.',
  STALE: 'Signed in, but the context has run out: fetching a new one.',
  BACKOFF: 'The service did not answer. Trying again; nobody is signed out for that.',
  OFFLINE: 'The browser is offline. Nobody is signed out for that.',
  LOGIN_NEEDED: 'The session is over. The chat offers its Sign In button.',
  LOGIN_PENDING: 'A sign-in is under way in another window.',
  POPUP_BLOCKED: 'The browser blocked the sign-in window. Press Sign In again.',
  STEP_UP_NEEDED: 'More proof of who you are is needed.',
  STEP_UP_PENDING: 'A stronger sign-in is under way in another window.',
  MISMATCH: 'Somebody else is signed in now. The chat has forgotten the person before.',
  SIGNED_OUT: 'Signed out. The chat has forgotten who you were.',
  FATAL: 'The service refused for good. The console says why.',
};

const CLAIMS = {
  iss: 'who issued it: the chatpass service',
  sub: 'who you are to this chat, and to nobody else',
  name: 'from the identity provider, as the app’s rules say',
  tier: 'made by the app’s rules',
  aud: 'the service it is for',
  exp: 'when it ends',
  iat: 'when it was issued',
  jti: 'its own number',
  client_id: 'which client asked for it',
  scope: 'what it may be used for',
  auth_time: 'when you signed in',
  acr: 'how well you proved who you are',
  amr: 'by what means',
  idp: 'who signed you in',
  sid: 'your session, for the operators',
  chat: 'where it is used: app and page',
  status: 'where to look whether it was revoked',
  act: 'who acts for you',
};

const CAUSES = {
  load: 'the page loaded', demand: 'the widget asked', timer: 'it was time', rejected: 'the last one was refused',
  wake: 'the tab woke up', online: 'the browser is online again', login: 'a sign-in ended',
};

const CALLS = {
  '/v1/context': body => `Get a context (E6): ${CAUSES[body.cause] ?? body.cause}`,
  '/v1/session': () => 'Claim the sign-in (E4): session and first context',
  '/v1/login/status': () => 'How does the sign-in stand? (E3)',
  '/v1/logout': () => 'Sign out (E8)',
  '/vendor/load': () => 'Chat vendor: does the chat show here?',
  '/vendor/open': () => 'Chat vendor: open the conversation',
  '/vendor/authenticate': () => 'Chat vendor: this is our customer',
  '/vendor/message': body => `Chat vendor: ${body.resume ? 'go on with the question' : 'a message'}`,
  '/vendor/clear': () => 'Chat vendor: forget this visitor',
};

const element = id => document.getElementById(id);

const make = (tag, text, className = '') => Object.assign(document.createElement(tag), { textContent: text, className });

const clock = () => new Date().toLocaleTimeString([], { hour12: false });

const parse = text => {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
};

/** Puts a line at the top of a list of at most 40. */
function note(list, ...parts) {
  const line = make('li', '');
  line.append(...parts);
  element(list).prepend(line);
  while (element(list).children.length > 40) element(list).lastChild.remove();
}

/** Shows every call that the page makes from now on. */
function watchCalls() {
  const fetch = window.fetch;
  window.fetch = async (resource, init = {}) => {
    const { pathname } = new URL(resource.url ?? resource, location.href);
    const what = CALLS[pathname]?.(parse(init.body)) ?? pathname;
    const began = performance.now();
    const show = (status, good, more) => {
      const took = `${Math.round(performance.now() - began)} ms`;
      note('calls', make('time', clock()), make('span', what), make('b', status, good ? 'good' : 'bad'), make('small', took), ...more);
    };
    try {
      const response = await fetch(resource, init);
      show(response.status, response.ok, onward(response));
      return response;
    } catch (e) {
      show('no answer', false, []);
      throw e;
    }
  };
}

/** What the vendor's server did with the context: it says so in its Server-Timing. */
function onward(response) {
  const made = /^account;dur=([\d.]+);desc="(.*)"$/.exec(response.headers.get('Server-Timing') ?? '');
  return made ? [make('em', `↳ it forwarded the context to the account API: ${made[2]}, ${made[1]} ms`)] : [];
}

function showState(state) {
  element('state').textContent = state;
  element('state').dataset.state = state;
  element('state-text').textContent = STATES[state] ?? '';
  const signedIn = ['READY', 'RENEWING', 'STALE', 'BACKOFF', 'OFFLINE', 'LOGIN_NEEDED'].includes(state);
  for (const button of ['sign-out', 'sign-out-everywhere']) element(button).disabled = !signedIn;
}

const decode = part => new TextDecoder().decode(Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0)));

const readable = (name, value) => {
  if (['exp', 'iat', 'auth_time'].includes(name)) return new Date(value * 1000).toLocaleTimeString([], { hour12: false });
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
};

/** The context in hand, and by this page's clocks when it came: nothing here trusts the wall clock. */
let hand;

function showContext(token, info) {
  hand = token && info && { ...info, at: performance.now() };
  element('context').hidden = !token;
  element('no-context').hidden = !!token;
  if (!token) return;
  const claims = parse(decode(token.split('.')[1]));
  const names = [...Object.keys(CLAIMS).filter(name => name in claims), ...Object.keys(claims).filter(name => !(name in CLAIMS))];
  element('claims').replaceChildren(...names.map(name => {
    const value = claims[name];
    const row = make('div', '');
    row.append(make('dt', name), make('dd', readable(name, value)), make('dd', CLAIMS[name] ?? 'from the app’s rules', 'why'));
    return row;
  }));
  tick();
}

function tick() {
  element('asked').textContent = window.ASAPP?.standIn?.providerCalls ?? 0;
  if (!hand) return;
  const since = (performance.now() - hand.at) / 1000;
  for (const [bar, whole] of [['renewal', hand.renewIn], ['expiry', hand.expiresIn]]) {
    const left = Math.max(0, whole - since);
    element(bar).value = whole > 0 ? left / whole : 0;
    element(`${bar}-left`).textContent = left > 0 ? `${Math.ceil(left)} s` : bar === 'renewal' ? 'due' : 'over';
  }
}

const EVENTS = {
  state: ({ from, state, reason }) => `${from} → ${state}${reason ? ` (${reason})` : ''}`,
  login: ({ customerId, error }) => (customerId ? 'A sign-in ended well.' : `A sign-in ended without a customer: ${error}`),
  logout: ({ reason }) => `Signed out: ${reason}`,
  usermismatch: () => 'Another person is signed in than the chat showed.',
  degraded: ({ reason }) => `Not all is well: ${reason}`,
  expiring: ({ expiresIn }) => `The session ends in ${expiresIn} s.`,
  error: ({ error, code, description }) => `Refused: ${[error, code, description].filter(Boolean).join(' · ')}`,
};

/** Follows the page's one chatpass object. */
function watch(chat) {
  showState(chat.state);
  for (const [event, tell] of Object.entries(EVENTS)) {
    chat.on(event, data => note('events', make('time', clock()), make('span', tell(data))));
  }
  chat.on('state', ({ state }) => showState(state));
  chat.onToken(showContext);
  setInterval(tick, 500);
}

watchCalls();
addEventListener('DOMContentLoaded', () => {
  try {
    watch(chat); // wiring.js has made it
  } catch {
    showState('BACKOFF');
    element('state-text').textContent = 'The chatpass service did not answer, so the page could not load its SDK. Start it and reload.';
  }
});
