import { requireScopes } from './claims.mjs';
import { RejectedError, UnavailableError } from './errors.mjs';

/**
 * @param {import('./verifier.mjs').Verifier} verifier
 * @param {string[]} scopes
 */
export function middleware(verifier, scopes) {
  return async (req, res, next) => {
    try {
      const token = bearer(req);
      if (token === undefined) return void answer(res, 401, 'Bearer');
      req.chat = await verifier.verify(token);
      requireScopes(req.chat, scopes);
    } catch (err) {
      delete req.chat;
      return void refuse(res, err, [...verifier.requiredScopes, ...scopes], next);
    }
    next();
  };
}

class SentTwice extends Error {}

/** The token of the Authorization header; it is read from nowhere else (RFC 6750 §2.1). */
function bearer(req) {
  const sent = req.headersDistinct.authorization ?? [];
  if (sent.length === 0) return undefined;
  if (sent.length > 1 || new URLSearchParams((req.originalUrl ?? req.url).split('?')[1]).has('access_token')) throw new SentTwice();
  return /^bearer +(.*)$/is.exec(sent[0])?.[1];
}

/** Its texts are fixed: nothing of the request comes back. */
function refuse(res, err, scopes, next) {
  if (err instanceof SentTwice) return fault(res, 400, 'invalid_request', 'the token was sent more than once');
  if (err instanceof UnavailableError) return fault(res, 503, 'temporarily_unavailable', 'the token cannot be checked now');
  if (!(err instanceof RejectedError)) return next(err);
  if (err.reason === 'insufficient_scope') return fault(res, 403, 'insufficient_scope', 'the token lacks a scope', scopes);
  return fault(res, 401, 'invalid_token', `the token is not accepted: ${err.reason}`);
}

function fault(res, status, error, description, scopes = []) {
  const scope = scopes.length ? `, scope="${scopes.join(' ')}"` : '';
  const body = JSON.stringify({ error, error_description: description });
  answer(res, status, `Bearer error="${error}", error_description="${description}"${scope}`, body);
}

function answer(res, status, challenge, body) {
  res.statusCode = status;
  res.setHeader('Cache-Control', 'no-store');
  if (status === 503) res.setHeader('Retry-After', '5');
  else res.setHeader('WWW-Authenticate', challenge);
  if (body) res.setHeader('Content-Type', 'application/json');
  res.end(body);
}
