import { attempt } from './core.js';
import { end, redeem } from './session.js';
import { go } from './states.js';

/** @import {Core} from './core.js' */

/**
 * A site that signs people in itself.
 * @typedef {object} Site
 * @property {(ask: {fresh: boolean}) => string|null|undefined|Promise<string|null|undefined>} give
 * @property {() => void} [onLoginNeeded]
 * @property {boolean} [wanted] Somebody asked to sign in.
 * @property {number} asked How often it was, since it last gave a good token: the second time for a fresh one.
 */

/** Begins a session with the site's ID token. One that is refused is asked for once more, fresh. @param {Core} k @param {Site} site */
export function askSite(k, site) {
  if (site.asked < 2) {
    site.asked = k.ctx ? 2 : site.asked + 1;
    return redeem(k, { site });
  }
  const wanted = k.customer || site.wanted;
  end(k);
  wanted ? attempt(k, () => site.onLoginNeeded?.()) : go(k, 'ANON');
}

/** What E4 takes of the site. @param {Site} site @returns {Promise<object|undefined>} Undefined: nobody is signed in there. */
export async function siteClaim({ give, asked }) {
  const token = await give({ fresh: asked > 1 });
  return token ? { subject_token: token } : undefined;
}
