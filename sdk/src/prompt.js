import { expiring, need, please, trouble } from './notices.js';
import { speak } from './words.js';

/** @import {Chat, Events, SignInOptions} from './chatpass.js' */
/** @import {Notice} from './notices.js' */
/** @import {Words} from './words.js' */

/**
 * @typedef {object} PromptOptions
 * @property {string} [locale] BCP 47; default: the page's language, then the browser's, if we speak it (en, de, fr, es, ja).
 * @property {Partial<Words>} [words] The page's own texts, in place of ours.
 * @property {HTMLElement} [container] Where the prompt stands. Default: at the top of the window, above the page.
 * @property {{idp: string, label: string}[]} [idps] Upstream issuers to choose from, by their names in the configuration.
 */

/**
 * @typedef {object} Prompt
 * @property {() => void} ask Offers to sign in, for widgets that have no button of their own.
 * @property {() => void} close Removes the prompt for good.
 */

const STYLE = `
  :host { all: initial; display: block; color-scheme: light dark }
  section { font: 1rem/1.45 system-ui, sans-serif; color: var(--chatpass-ink, light-dark(#16202e, #eef2f7)); text-align: start }
  :host(.above) section { position: fixed; z-index: 2147483647; inset-block-start: 1rem; inset-inline: 1rem; margin-inline: auto; max-inline-size: 25rem }
  section.on { box-sizing: border-box; padding: 1rem 1.1rem; border: 1px solid var(--chatpass-line, light-dark(#dfe4ea, #2b3542)); border-radius: .8rem;
    background: var(--chatpass-paper, light-dark(#fff, #1a212b)); box-shadow: 0 .5rem 2rem rgb(0 0 0 / .18) }
  section:not(.on) { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden }
  p { margin: 0; padding-inline-end: 2rem; overflow-wrap: anywhere }
  small { display: block; margin-block-start: .5rem; color: var(--chatpass-soft, light-dark(#5b6776, #a3afbf)); font-size: .75rem }
  div { display: flex; flex-wrap: wrap; gap: .6rem; margin-block-start: .8rem }
  div:empty, small:empty { display: none }
  button { font: inherit; font-weight: 600; padding: .5rem 1.1rem; border: 1px solid transparent; border-radius: .6rem; cursor: pointer;
    color: var(--chatpass-on-accent, light-dark(#fff, #10151c)); background: var(--chatpass-accent, light-dark(#2456c9, #8fb4ff)) }
  button:focus-visible { outline: 3px solid currentcolor; outline-offset: 2px; outline-color: var(--chatpass-ink, light-dark(#16202e, #eef2f7)) }
  button.close { position: absolute; inset-block-start: .45rem; inset-inline-end: .5rem; inline-size: 2rem; block-size: 2rem; padding: 0; color: inherit; background: none; font-weight: 400; font-size: 1.25rem; line-height: 1 }
  section.on { position: relative }
  :host(.above) section.on { position: fixed }
  @media (prefers-reduced-motion: no-preference) { section.on { animation: in .18s ease-out } @keyframes in { from { opacity: 0; translate: 0 -.4rem } } }
`;

/**
 * Shows people what a chat needs of them, with a button that leads on. It takes no focus from anybody.
 * @param {Chat} chat
 * @param {PromptOptions} [options]
 * @returns {Prompt}
 */
export function attach(chat, { locale, words: own, container, idps = [] } = {}) {
  const { language, words } = speak([locale, document.documentElement.lang, ...navigator.languages].filter(tag => tag !== undefined), own);
  const card = newCard(words, language, container);
  /** @type {SignInOptions} */
  let asked = {};
  /** @type {Events['error']|undefined} */
  let fault;
  /** @type {Notice|undefined} */
  let shown;

  /** @param {SignInOptions} [options] */
  const login = (options = asked) => {
    asked = options;
    chat.login(asked);
  };
  /** @param {Notice} notice @returns {[string, () => void][]} */
  const buttons = ({ button, act }) => {
    if (!button) return [];
    if (button === 'signIn' && idps.length > 1) return idps.map(({ idp, label }) => [words.signInWith.replace('{idp}', () => label), () => login({ idp })]);
    return [[words[/** @type {keyof Words} */ (button)], () => (act === 'accept' ? chat.acceptCustomer() : login())]];
  };
  /** @param {Notice|undefined} notice @param {number} [minutes] */
  const show = (notice, minutes) => {
    shown = notice;
    if (!notice) return card.clear();
    const text = words[/** @type {keyof Words} */ (notice.text)];
    card.show(text.replace('{minutes}', `${minutes}`), buttons(notice), notice.detail);
  };

  show(need({ state: chat.state, from: chat.state })); // what was needed before there was a prompt
  const stops = [
    chat.on('error', said => { fault = said; }),
    chat.on('state', event => {
      const notice = need(event, fault);
      if (notice || !shown?.stays?.test(event.state)) show(notice);
    }),
    chat.on('degraded', ({ reason }) => trouble(reason) && show(trouble(reason))),
    chat.on('expiring', ({ expiresIn }) => show(expiring(), Math.max(1, Math.round(expiresIn / 60)))),
  ];
  return {
    ask: () => show(please()),
    close() {
      stops.forEach(stop => stop());
      card.remove();
    },
  };
}

/**
 * An empty card. What it says is announced by screen readers, since it is there before it says something.
 * @param {Words} words
 * @param {string} language
 * @param {HTMLElement} [container]
 */
function newCard(words, language, container) {
  const host = document.createElement('chatpass-prompt'); // a name for the page's style sheet
  const root = host.attachShadow({ mode: 'open' });
  const style = new CSSStyleSheet(); // a page's content security policy allows these
  style.replaceSync(STYLE);
  root.adoptedStyleSheets = [style];
  host.lang = language;
  host.className = container ? '' : 'above';

  const section = document.createElement('section');
  section.setAttribute('aria-label', words.region);
  const [text, detail, actions] = ['p', 'small', 'div'].map(name => section.appendChild(document.createElement(name)));
  text.setAttribute('role', 'status');
  root.append(section);
  (container ?? document.body).append(host);

  /** @type {HTMLElement|undefined} */
  let before; // who had the focus
  section.addEventListener('focusin', ({ relatedTarget }) => {
    if (relatedTarget instanceof HTMLElement && !root.contains(relatedTarget)) before = relatedTarget;
  });
  section.addEventListener('keydown', ({ key }) => key === 'Escape' && clear());

  /** @param {string} label @param {() => void} act */
  function button(label, act) {
    const made = document.createElement('button');
    made.type = 'button';
    made.textContent = label;
    made.onclick = act;
    return made;
  }
  function clear() {
    const focused = !!root.activeElement;
    section.className = text.textContent = detail.textContent = '';
    actions.replaceChildren();
    section.querySelector('.close')?.remove();
    if (focused) before?.focus();
  }
  return {
    clear,
    remove: () => host.remove(),
    /** @param {string} said @param {[string, () => void][]} ways @param {string} [forHelp] */
    show(said, ways, forHelp = '') {
      clear();
      section.className = 'on';
      text.textContent = said;
      detail.textContent = forHelp;
      actions.append(...ways.map(([label, act]) => button(label, act)));
      const close = section.appendChild(button('×', clear));
      close.className = 'close';
      close.setAttribute('aria-label', words.close);
    },
  };
}
