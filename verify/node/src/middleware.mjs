import { RejectedError, UnavailableError } from './errors.mjs';

/**
 * @typedef {import('node:http').IncomingMessage & {originalUrl?: string, chat?: import('./claims.mjs').Context}} Request
 * @typedef {import('node:http').ServerResponse} Response
 * @typedef {(err?: unknown) => void} Next
 */

/**
 * @param {import('./verifier.mjs').Verifier} verifier
 * @returns {(req: Request, res: Response, next: Next) => Promise<void>}
 */
export function middleware(verifier) {
  return async (req, res, next) => {
    try {
      const token = bearer(req);
      if (token === undefined) return answer(res, 401, 'Bearer');
      req.chat = await verifier.verify(token);
    } catch (err) {
      delete req.chat;
      return refuse(res, err, next);
    }
    next();
  };
}

class SentTwice extends Error {}

/**
 * The token of the Authorization header; it is read from nowhere else (RFC 6750 §2.1).
 * @param {Request} req
 */
function bearer(req) {
  const sent = req.headersDistinct.authorization ?? [];
  if (sent.length === 0) return undefined;
  if (sent.length > 1 || new URLSearchParams((req.originalUrl ?? req.url ?? '').split('?')[1]).has('access_token')) throw new SentTwice();
  return /^bearer +(.*)$/is.exec(sent[0])?.[1];
}

/**
 * Its texts are fixed: nothing of the request comes back.
 * @param {Response} res
 * @param {unknown} err
 * @param {Next} next
 */
function refuse(res, err, next) {
  if (err instanceof SentTwice) return fault(res, 400, 'invalid_request', 'the token was sent more than once');
  if (err instanceof UnavailableError) return fault(res, 503, 'temporarily_unavailable', 'the token cannot be checked now');
  if (!(err instanceof RejectedError)) return next(err);
  const { reason, demand } = err;
  if (reason === 'insufficient_scope') return fault(res, 403, reason, 'the token lacks a scope', demand);
  if (reason === 'insufficient_authentication') return fault(res, 401, 'insufficient_user_authentication', 'the customer must sign in again', demand);
  return fault(res, 401, 'invalid_token', `the token is not accepted: ${reason}`);
}

/**
 * @param {Response} res
 * @param {number} status
 * @param {string} error
 * @param {string} description
 * @param {import('./demand.mjs').Demand} [demand] what would do (RFC 6750 §3, RFC 9470 §3)
 */
function fault(res, status, error, description, { scopes = [], acr = [], maxAuthAge = 0 } = {}) {
  const wanted = [['error', error], ['error_description', description], ['scope', scopes.join(' ')], ['acr_values', acr.join(' ')]];
  if (maxAuthAge > 0) wanted.push(['max_age', String(Math.floor(maxAuthAge))]);
  const challenge = wanted.filter(([, value]) => value !== '').map(([name, value]) => `${name}="${value}"`);
  answer(res, status, `Bearer ${challenge.join(', ')}`, JSON.stringify({ error, error_description: description }));
}

/** @param {Response} res @param {number} status @param {string} challenge @param {string} [body] */
function answer(res, status, challenge, body) {
  res.statusCode = status;
  res.setHeader('Cache-Control', 'no-store');
  if (status === 503) res.setHeader('Retry-After', '5');
  else res.setHeader('WWW-Authenticate', challenge);
  if (body) res.setHeader('Content-Type', 'application/json');
  res.end(body);
}
