package exchange

import "chatpass/identity"

// OAuth's words (RFC 6749 §5.2, RFC 8693 §2.2.2, RFC 9470 §3, RFC 7009 §2.2.1) and ours.
const (
	invalidRequest  = "invalid_request"
	invalidClient   = "invalid_client"
	accessDenied    = "access_denied"
	loginRequired   = "login_required"
	txnExpired      = "txn_expired"
	slowDown        = "slow_down"
	temporarilyDown = "temporarily_unavailable"
)

// refusals is the contract's table, never changed at run time.
var refusals = map[identity.Code]Refusal{
	identity.UnsupportedGrantType: {"unsupported_grant_type", "unsupported_grant_type", 400, RetryNo, "send grant_type=urn:ietf:params:oauth:grant-type:token-exchange"},
	identity.ParameterMissing:     {"parameter_missing", invalidRequest, 400, RetryNo, "a required parameter is missing or empty"},
	identity.UnsupportedTokenType: {"token_type_unsupported", invalidRequest, 400, RetryNo, "this token type is not supported: send an ID token as urn:ietf:params:oauth:token-type:id_token, or a context of ours as urn:ietf:params:oauth:token-type:access_token"},
	identity.TooLarge:             {"too_large", invalidRequest, 400, RetryNo, "the request or one of its tokens is too large: a body may have 64 KiB, a token 16 KiB"},
	identity.OriginNotAllowed:     {"origin_not_allowed", "origin_not_allowed", 403, RetryNo, "the page's origin is not registered for this client: add it to the app's origins"},
	identity.ClientUnknown:        {"client_unknown", invalidClient, 401, RetryNo, "no client of this client_id is registered"},
	identity.ClientAuthentication: {"client_authentication", invalidClient, 401, RetryNo, "client authentication is missing or wrong"},
	identity.ParameterRepeated:    {"parameter_repeated", invalidRequest, 400, RetryNo, "a parameter was sent twice, or two parameters disagree: send each once"},
	identity.ParameterUnsupported: {"parameter_unsupported", invalidRequest, 400, RetryNo, "a parameter of the request is not supported here, or not with this value"},
	identity.MalformedToken:       {"malformed_token", invalidRequest, 400, RetryNo, "the token is not a signed JWT in compact serialisation, or one of its members is of the wrong type"},
	identity.CSRFFailed:           {"csrf_failed", "csrf_failed", 403, RetryNo, "the request lacks what only our browser SDK sends: the header X-Chatpass-Client, content type application/json, and fetch metadata of a page's own call"},
	identity.MethodNotAllowed:     {"method_not_allowed", invalidRequest, 405, RetryNo, "this method or media type is not served here"},
	identity.ClientMayNotExchange: {"client_may_not_exchange", "unauthorized_client", 400, RetryNo, "this client may not exchange ID tokens of this issuer: list the upstream client in its accepts"},

	identity.IssuerNotTrusted:    {"issuer_not_trusted", invalidRequest, 400, RetryNo, "the subject token's issuer is not one of this app's issuers"},
	identity.KeyUnknown:          {"key_unknown", invalidRequest, 400, RetryNo, "the subject token names a key that its issuer does not publish"},
	identity.SignatureInvalid:    {"signature_invalid", invalidRequest, 400, RetryNo, "the subject token's signature is not valid"},
	identity.AlgorithmNotAllowed: {"algorithm_not_allowed", invalidRequest, 400, RetryNo, "the subject token is signed with an algorithm that is not allowed for its issuer"},
	identity.TokenExpired:        {"subject_token_expired", invalidRequest, 400, RetryLogin, "the subject token is expired or too old: get a fresh one and exchange it at once"},
	identity.IssuedInFuture:      {"issued_in_future", invalidRequest, 400, RetryNo, "the subject token was issued in the future: compare the clocks of the issuer and of this service"},
	identity.AudienceMismatch:    {"audience_mismatch", invalidRequest, 400, RetryNo, "the subject token was issued to another client than those this client may exchange for, does not say by azp to which of several, or is a context of another app"},
	identity.NonceMismatch:       {"nonce_mismatch", invalidRequest, 400, RetryNo, "the ID token does not belong to this sign-in"},
	identity.TokenAlreadyUsed:    {"already_used", invalidRequest, 400, RetryLogin, "this may be used only once, and was used before"},
	identity.AuthenticationStale: {"authentication_too_old", invalidRequest, 400, RetryLogin, "the person signed in longer ago than asked for"},
	identity.NotAnIDToken:        {"not_an_id_token", invalidRequest, 400, RetryNo, "the token is of another kind than its declared type"},
	identity.ClaimAmbiguous:      {"claim_ambiguous", invalidRequest, 400, RetryNo, "the token holds the same claim twice, or one that differs in case alone from a standard one"},
	identity.ClaimMissing:        {"claim_missing", invalidRequest, 400, RetryNo, "the token lacks a required claim, or names the person in more than 255 bytes"},
	identity.HeaderUnsupported:   {"header_unsupported", invalidRequest, 400, RetryNo, "the token is encrypted or has a critical header that is not supported"},
	identity.StepUpNeeded:        {"step_up_needed", "insufficient_user_authentication", 401, RetryLogin, "a stronger or newer authentication of the person is needed"},
	identity.StepUpUnmet:         {"step_up_unmet", "step_up_unmet", 403, RetryNo, "the issuer did not give the authentication that was asked for"},

	identity.AppSuspended:       {"app_suspended", accessDenied, 403, RetryNo, "this app is suspended"},
	identity.NotAdmitted:        {"not_admitted", accessDenied, 403, RetryNo, "this app's admission rule does not admit the person"},
	identity.AudienceNotAllowed: {"audience_not_allowed", "invalid_target", 400, RetryNo, "the audience or resource is not one of this app's"},
	identity.ScopeNotAllowed:    {"scope_not_allowed", "invalid_scope", 400, RetryNo, "none of the scopes asked for is one of this app's"},
	identity.MappingFailed:      {"mapping_failed", accessDenied, 403, RetryNo, "a claim of the context could not be made from what the issuer said of the person"},
	identity.ContextTooLarge:    {"context_too_large", invalidRequest, 400, RetryNo, "the context would exceed 4 KiB: map fewer or smaller claims"},

	identity.NoSession:         {"no_session", loginRequired, 401, RetryLogin, "nobody is signed in"},
	identity.IdleTimeout:       {"idle_timeout", loginRequired, 401, RetryLogin, "the session ended because nothing happened in it for too long"},
	identity.AbsoluteTimeout:   {"absolute_timeout", loginRequired, 401, RetryLogin, "the session has reached its greatest age"},
	identity.SignedOut:         {"logged_out", loginRequired, 401, RetryLogin, "the person signed out"},
	identity.EndedByIssuer:     {"idp_logout", loginRequired, 401, RetryLogin, "the person's sign-in was ended: by the issuer, a sign-out or a revocation"},
	identity.Revoked:           {"revoked", loginRequired, 401, RetryLogin, "the session was revoked"},
	identity.PersonDisabled:    {"user_disabled", loginRequired, 401, RetryLogin, "the issuer has disabled the person"},
	identity.SessionEnding:     {"session_ending", loginRequired, 401, RetryLogin, "the session ends too soon for another context"},
	identity.IssuerUnreachable: {"idp_unreachable", loginRequired, 401, RetryLogin, "the issuer could not confirm the session for too long"},
	identity.CustomerMismatch:  {"user_mismatch", "user_mismatch", 409, RetryNo, "the session belongs to another customer than expected"},
	identity.SignInExpired:     {"txn_expired", txnExpired, 410, RetryLogin, "the sign-in has expired, or was started by another page or browser: start a new one"},
	identity.SignInClaimed:     {"txn_claimed", txnExpired, 410, RetryLogin, "the sign-in was claimed before: start a new one"},

	identity.ActorNotAllowed:    {"actor_not_allowed", accessDenied, 403, RetryNo, "no rule of this app lets the actor act for the person"},
	identity.ActorTooDeep:       {"actor_too_deep", invalidRequest, 400, RetryNo, "the chain of actors is longer than 3"},
	identity.ActorWider:         {"wider_than_subject", "invalid_scope", 400, RetryNo, "a delegated or narrowed context may not be wider than the one it comes from"},
	identity.ActorTokenRejected: {"actor_token_rejected", invalidRequest, 400, RetryNo, "the actor token is not acceptable"},

	identity.LimitPerIP:       {"limit_per_ip", slowDown, 429, RetryLater, "too many refused requests from this address"},
	identity.LimitPerClient:   {"limit_per_client", slowDown, 429, RetryLater, "too many requests of this client"},
	identity.LimitPerSession:  {"limit_per_session", slowDown, 429, RetryLater, "too many contexts for this session"},
	identity.Shedding:         {"shedding", temporarilyDown, 503, RetryLater, "the service is overloaded"},
	identity.Internal:         {"server_error", "server_error", 500, RetryLater, "the service failed: its log has more under this request_id"},
	identity.StoreUnavailable: {"store_unavailable", temporarilyDown, 503, RetryLater, "the service cannot reach its store at the moment"},
	identity.NoIssuerKey:      {"issuer_unreachable", temporarilyDown, 503, RetryLater, "the keys of the issuer, or of the client, cannot be fetched at the moment"},
	identity.NoSigningKey:     {"no_signing_key", temporarilyDown, 503, RetryLater, "no signing key may be used at the moment"},
	identity.ClockNotTrusted:  {"clock_not_trusted", temporarilyDown, 503, RetryLater, "the clock of this replica is not trusted at the moment"},
}
