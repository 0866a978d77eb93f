import { PATIENCE, lower } from './core.js';
import { renew } from './renewal.js';
import { settled } from './states.js';

/** @import {StepUpOptions} from './chatpass.js' */
/** @import {Core} from './core.js' */

/**
 * A higher authentication that the page waits for.
 * @typedef {object} Raise
 * @property {() => void} resolve
 * @property {(error: Error) => void} reject
 * @property {{acr_values?: string, max_age?: number}} level
 * @property {boolean} needed Asking for it is not enough: the person has to sign in again.
 * @property {string} [txn] The sign-in that is for it; another one proves nothing.
 */

/**
 * @param {Core} k
 * @param {StepUpOptions} [ask]
 * @returns {Promise<void>}
 */
export function stepUp(k, { acrValues, maxAge } = {}) {
  return new Promise(async (resolve, reject) => {
    await settled(k, PATIENCE); // the answer under way is to another question
    lower(k, 'replaced');
    k.raise = { resolve, reject, level: { acr_values: acrValues, max_age: maxAge }, needed: !acrValues && maxAge == null };
    renew(k, 'demand');
  });
}

