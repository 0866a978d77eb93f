import { PATIENCE } from './core.js';
import { VERSION } from './version.js';

/** @import {Core} from './core.js' */

/**
 * What came of a request: `ok`, or what to do according to a refusal with one of our codes. All else is
 * `later`: no network, a time-out, a proxy's page. It never signs anybody out.
 * @typedef {object} Answer
 * @property {'ok'|'later'|'login'|'no'} kind
 * @property {any} body The JSON body; {} if there was none.
 * @property {number} [after] Seconds to wait at least before the next try.
 */

const LONGEST_RETRY_AFTER = 300;

/** @param {Response} res @param {any} body @returns {Answer} */
function classify({ ok, headers }, body) {
  const { code, retry } = body;
  const ours = /^CP-\d{3} (login|no)$/.test(`${code} ${retry}`);
  const after = Math.min(+(headers.get('retry-after') ?? 0) || 0, LONGEST_RETRY_AFTER);
  return { kind: ok ? 'ok' : ours ? retry : 'later', body, after };
}

/**
 * Asks the service. Answers within 8 s and never throws.
 * @param {Core} k
 * @param {string} path
 * @param {object|undefined|Promise<object|undefined>} body Our client_id is added. Undefined: there is nobody to ask for.
 * @param {object} [more] What else goes into it.
 * @param {boolean} [keepalive] The request outlives the page.
 * @returns {Promise<Answer>}
 */
export async function post({ env, cfg, host }, path, body, more, keepalive) {
  try {
    const said = body instanceof Promise ? await body : body;
    if (!said) return { kind: 'login', body: {} };
    const res = await env.fetch(host + path, {
      method: 'POST',
      credentials: 'include',
      redirect: 'error',
      headers: { 'Content-Type': 'application/json', 'X-Chatpass-Client': 'web/' + VERSION },
      body: JSON.stringify({ client_id: cfg.clientId, ...more, ...said }),
      keepalive,
      signal: env.AbortSignal.timeout?.(PATIENCE),
    });
    return classify(res, (await res.json().catch(() => null)) ?? {});
  } catch {
    return { kind: 'later', body: {} };
  }
}
