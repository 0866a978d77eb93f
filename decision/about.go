package decision

import "chatpass/identity"

// A Refusal explains a code to whoever has to mend what is behind it.
type Refusal struct {
	// Check names the rung that is not passed when the code is given.
	Check string
	// Meaning says what is wrong, Usual what it usually comes from, Remedy what to do. They are whole
	// sentences of Markdown.
	Meaning, Usual, Remedy string
	// likely is the cause where the values of a decision tell more than Usual: a sentence with the slots
	// {measured}, {required}, {client}, {app}, {idp} and {sender}.
	likely string
}

// About returns what there is to say of a code; of an unknown one, that of [identity.Internal].
func About(code identity.Code) Refusal {
	if known, ok := refusals[code]; ok {
		return known
	}
	return refusals[identity.Internal]
}

// refusals is what docs/refusals.md is made of, never changed at run time. The empty code is that of a
// sign-in to which an upstream issuer said no.
var refusals = map[identity.Code]Refusal{
	"": {
		Check: "issuer's answer", Meaning: "The issuer did not sign the person in.",
		Usual: "The person cancelled, or may not use this application of the issuer.", likely: "The issuer answered {measured}.",
		Remedy: "Nothing, if the person cancelled; else see at the issuer who may sign in to it.",
	},

	identity.UnsupportedGrantType: {
		Check: "grant", Meaning: "The token endpoint knows one grant: token exchange (RFC 8693).",
		Usual:  "A client library left at its default grant, such as `client_credentials`.",
		likely: "The client asked with {measured}: a library left at its default grant, perhaps.",
		Remedy: "Send `grant_type=urn:ietf:params:oauth:grant-type:token-exchange`.",
	},
	identity.ParameterMissing: {
		Check: "parameters", Meaning: "A required parameter is missing, empty or of the wrong shape, or the body cannot be read at all.",
		Usual: "A form field that was built from an undefined variable.", likely: "The request was built incompletely: {measured}.",
		Remedy: "The answer's `error_description` and the ladder name the parameter: send it. Empty counts as missing.",
	},
	identity.UnsupportedTokenType: {
		Check: "token type", Meaning: "The declared type of a token, or the type asked for, is not one this endpoint trades, or a context to be revoked was narrowed or delegated.",
		Usual:  "An access token of the identity provider sent where the ID token belongs.",
		likely: "The client sent {measured}, where {required} is taken.",
		Remedy: "Send the ID token as `urn:ietf:params:oauth:token-type:id_token`, one of our contexts as `urn:ietf:params:oauth:token-type:access_token`, an actor's token as an ID token, and ask for an access token or a JWT. Revocation takes the context that a session issued, none that was narrowed or delegated.",
	},
	identity.TooLarge: {
		Check: "size", Meaning: "The body exceeds 64 KiB, a token 16 KiB, or a parameter of a sign-in what it may have.",
		Usual: "An ID token with hundreds of groups.", likely: "What was sent is too large ({measured}): an ID token with hundreds of groups, perhaps.",
		Remedy: "Have the issuer put fewer claims into the ID token, or shorten what else the ladder names.",
	},
	identity.OriginNotAllowed: {
		Check: "origin", Meaning: "The page's origin is not registered for this client, a browser client sent none, or two, or a client that is no page sent one.",
		Usual:  "`www.` missing or superfluous, `http` for `https`, a port; a backend or a script that uses a browser client.",
		likely: "The request came with {measured}; what is allowed is {required}.",
		Remedy: "Add a page's exact origin to the app's `origins`. What is no page has no origin: use a client of type `native` for an app, one of type `backend` for a server.",
	},
	identity.ClientUnknown: {
		Check: "client", Meaning: "No client of this `client_id` is in the configuration, and no credential came with it. With one, or at introspection, it would be CP-107.",
		Usual:  "A typing error, or the configuration of another environment.",
		likely: "Nothing is registered for {measured}: a typing error, or the configuration of another environment.",
		Remedy: "Compare `client_id` with the names under `apps.*.clients`.",
	},
	identity.ClientAuthentication: {
		Check: "client authentication", Meaning: "The client's credential is missing or wrong, or such a client may not show one. Who shows one hears the same after the same work, whether a client of that name exists or not; a confidential client that shows none hears it too.",
		Usual:  "A rotated secret; a secret that was not form-encoded inside HTTP Basic (RFC 6749 §2.3.1); an assertion that was sent twice, or whose `aud` is not our issuer URL.",
		likely: "The client came with {measured}, where {required} is needed.",
		Remedy: "The ladder says what was wrong, and the answer never does. Compare that with the client's `auth`, `secret` or `jwks`, and `client_id` with the names under `apps.*.clients` and `apps.*.verifiers`.",
	},
	identity.ParameterRepeated: {
		Check: "parameters", Meaning: "A parameter came twice, or two that must agree do not.",
		Usual: "A proxy that appends the query to the body; `client_id` beside another client's Authorization header; two ways of authentication at once.", likely: "The request contradicts itself: {measured}.",
		Remedy: "Send each parameter once. `audience` and `resource` alone may repeat.",
	},
	identity.ParameterUnsupported: {
		Check: "parameters", Meaning: "A parameter that would change what is asked for is not supported, or not with this value, so the request is not guessed at.",
		Usual: "`client_secret` in the body, `requested_subject`, an unregistered `return_to`, a long `conversation`.", likely: "The client sent what is not taken here ({measured}).",
		Remedy: "The answer's `error_description` and the ladder name it: leave it out, or send a value as they say.",
	},
	identity.MalformedToken: {
		Check: "token shape", Meaning: "The token is not a signed JWT in compact serialisation, three parts of base64url, or a member of its header or claims is not of the type that its standard gives it.",
		Usual: "A token that was cut off, quoted, or is opaque; an issuer that writes `exp` as a string.", likely: "The token was cut off, quoted, or is opaque, or its issuer is at fault: {measured}.",
		Remedy: "Send the ID token as the issuer gave it; the ladder names the member that is wrong.",
	},
	identity.CSRFFailed: {
		Check: "page's call", Meaning: "A call with a cookie lacks what only our browser SDK sends, a sign-in was begun in a frame or by a script, or an answer of the issuer is not for this browser's sign-in.",
		Usual: "A hand-written `fetch` without the header; the page lies on another site than the service.", likely: "The call cannot be told from another site's ({measured}).",
		Remedy: "Use the SDK, and serve chatpass from a host of the pages' own site. A sign-in: start it again, in a window.",
	},
	identity.MethodNotAllowed: {
		Check: "method", Meaning: "This path does not serve that method or media type, or there is nothing at it.",
		Usual: "GET on the token endpoint; JSON where a form belongs.", likely: "The client came with {measured}; needed is {required}.",
		Remedy: "Send what the ladder says, or compare the path with those in `/.well-known/oauth-authorization-server`. Of a path that is served, `Allow` names the methods.",
	},
	identity.ClientMayNotExchange: {
		Check: "accepts", Meaning: "The client may not exchange ID tokens of this issuer, may not revoke this token, or is of the wrong type for this endpoint.",
		Usual: "A client without `accepts`; a token of another client that is to be revoked.", likely: "This is not for client {client} to do: it takes {required}, and what was found is: {measured}.",
		Remedy: "To exchange ID tokens, list the upstream client in the client's `accepts`. Revoke a context by the client that got it or a backend of its app, an ID token by a client that accepts it. A verifier introspects and does nothing else; browser clients alone sign people in here.",
	},

	identity.IssuerNotTrusted: {
		Check: "token issuer", Meaning: "The token's `iss` is not that of an issuer whose tokens the client may exchange, or not one with which people sign in to the app. Nothing is fetched for it.",
		Usual:  "A trailing slash; the issuer of another tenant; one of our own contexts sent as an ID token.",
		likely: "Client {client} does not accept a token of {measured}: a trailing slash, another tenant's or environment's issuer, or a context of ours in place of an ID token.",
		Remedy: "Send a context of ours as `urn:ietf:params:oauth:token-type:access_token`. Else compare `iss` with `issuers.*.issuer` byte for byte, and the issuer's name with the client's `accepts` and the app's `issuers`; use `issuer_aliases` where the issuer itself is inconsistent.",
	},
	identity.KeyUnknown: {
		Check: "token key", Meaning: "The token names a key that its issuer does not publish.",
		Usual:  "The issuer has just rotated its keys: within the cool-down the same token works again in seconds. Else the token is forged, from another environment, or an ID token sent as a context of ours.",
		likely: "The issuer has changed its keys a moment ago, or the token is of another kind, from another environment or forged ({measured}).",
		Remedy: "Send an ID token as `urn:ietf:params:oauth:token-type:id_token`. Try again once; then look at the issuer's key set, which is the file if its `jwks` names one.",
	},
	identity.SignatureInvalid: {
		Check: "token signature", Meaning: "The signature does not fit the token.",
		Usual:  "A token that was changed or put together from two.",
		Remedy: "Send the token as the issuer gave it.",
	},
	identity.AlgorithmNotAllowed: {
		Check: "token algorithm", Meaning: "The token is signed with an algorithm that the issuer's `algorithms` do not list, or is not signed.",
		Usual: "An issuer that moved from RS256 to another algorithm.", likely: "The token is signed with {measured}, and {required} is accepted.",
		Remedy: "List the algorithm, or have the issuer use one that is listed. `none` and HS* can never be.",
	},
	identity.TokenExpired: {
		Check: "token age", Meaning: "The token is past its `exp`, or older than allowed.",
		Usual: "The page kept the ID token for minutes before exchanging it.", likely: "The {sender} kept the token too long before exchanging it: {measured}.",
		Remedy: "Get a fresh ID token, or context, and exchange it at once.",
	},
	identity.IssuedInFuture: {
		Check: "token times", Meaning: "The token's `iat`, `nbf` or `auth_time` lies ahead of our clock by more than the skew allowed.",
		Usual:  "A clock that is wrong, here or at the issuer.",
		likely: "By this machine's clock the token was {measured}: that clock or the issuer's is off by as much.",
		Remedy: "Set both clocks by NTP; `clock_skew` may be up to 300 s.",
	},
	identity.AudienceMismatch: {
		Check: "token audience", Meaning: "The token was issued to another client of the issuer, does not say to which of several, or the context is one of another app.",
		Usual:  "An ID token of one application sent by another; a context sent by another app's client.",
		likely: "The token was made for somebody else, or does not say for whom: it has {measured}, where {required} is needed.",
		Remedy: "Of an ID token, list in `accepts` every upstream client that it is for, if they are meant to be trusted; with several audiences it must name one as `azp`. Send a context by a client of its own app.",
	},
	identity.NonceMismatch: {
		Check: "nonce", Meaning: "The ID token does not belong to this sign-in.",
		Usual:  "A replayed answer of the issuer.",
		Remedy: "Start the sign-in again.",
	},
	identity.TokenAlreadyUsed: {
		Check: "single use", Meaning: "What may be used once was used before: a logout token, a sign-out ticket.",
		Usual: "A delivery that was repeated.", likely: "It was delivered twice: {measured}.",
		Remedy: "Nothing, if the first one succeeded; else make a new one.",
	},
	identity.AuthenticationStale: {
		Check: "authentication age", Meaning: "The person proved who they are longer ago than `max_age` allows.",
		Usual: "The issuer answered from its own session, or does not say when that began.", likely: "The issuer answered from its own session, or does not say when that began: {measured}, where {required} was asked for.",
		Remedy: "Sign in again. If that does not help, have the issuer obey `max_age` and send `auth_time` (OpenID Connect Core 1.0 §3.1.2.1).",
	},
	identity.NotAnIDToken: {
		Check: "token kind", Meaning: "The token is of another kind: an access token, a logout token.",
		Usual: "The wrong field of the issuer's token answer.", likely: "The client took the wrong field of the issuer's token answer: the token has {measured}.",
		Remedy: "Send the member `id_token` of that answer.",
	},
	identity.ClaimAmbiguous: {
		Check: "token members", Meaning: "The token holds the same claim twice, or one whose name differs in case alone from one that a standard gives, such as `Sub`.",
		Usual: "A forged token, or a broken issuer.", likely: "The token is forged, or its issuer is broken: it has {measured}.",
		Remedy: "Have the issuer mend it: there is no safe reading.",
	},
	identity.ClaimMissing: {
		Check: "token claims", Meaning: "A required claim is missing or empty, or names the person in more than 255 bytes.",
		Usual: "An ID token without `sub` or `iat`; `subject_claim` names a claim the issuer does not send.", likely: "The issuer does not send what is needed: the token has {measured}, where {required} is needed.",
		Remedy: "Compare the token (`chatpass token inspect`) with `subject_claim`, and have the issuer send what the ladder names.",
	},
	identity.HeaderUnsupported: {
		Check: "token header", Meaning: "The token is encrypted (five parts, RFC 7516 §3.1), or marks a header as critical that is not supported.",
		Usual: "ID token encryption is switched on at the issuer.", likely: "ID token encryption or an extension is switched on at the issuer: the token has {measured}.",
		Remedy: "Switch it off for this client: the connection is encrypted already.",
	},
	identity.StepUpNeeded: {
		Check: "authentication strength", Meaning: "The audience wants a stronger or newer authentication.",
		Usual: "The person signed in with a password alone.", likely: "The person signed in with {measured}, and {required} is needed.",
		Remedy: "Sign in again with the `acr_values` that the answer names.",
	},
	identity.StepUpUnmet: {
		Check: "authentication strength", Meaning: "The issuer was asked for a stronger authentication and did not give it.",
		Usual:  "The person has no second factor; the issuer does not know the `acr_values`.",
		likely: "The issuer gave {measured}, where {required} was asked for: the person has no second factor, or the issuer does not know it by this name.",
		Remedy: "Compare `acr_values` with what the issuer supports.",
	},

	identity.AppSuspended: {
		Check: "app", Meaning: "The app is switched off.", Usual: "An operator's decision.", Remedy: "Ask the operator.",
	},
	identity.NotAdmitted: {
		Check: "admit", Meaning: "The app's `admit` rule says no to this person, or cannot be evaluated for them.",
		Usual:  "A group or a verified e-mail address is missing.",
		likely: "The app's rule yields \"{measured}\" for this person: what it asks for is missing in what issuer {idp} says of them.",
		Remedy: "Compare the rule with what the issuer says of the person: `chatpass check --token` tries it on an ID token of theirs.",
	},
	identity.AudienceNotAllowed: {
		Check: "audience", Meaning: "An audience or resource is not one of the app's, not one of the context that was presented, or not an absolute URI.",
		Usual: "A URL with or without a trailing slash; a context that is to be narrowed to an audience it is not for.", likely: "The client asked for {measured}, where only {required} is allowed.",
		Remedy: "Ask for one that `apps.*.audience` lists, as it stands there, and of a context for one that it has itself: for another one, exchange what the context came from. None is half granted.",
	},
	identity.ScopeNotAllowed: {
		Check: "scope", Meaning: "None of the scopes asked for is one of the app's.",
		Usual: "A scope of another app.", likely: "The client asked for {measured}, and app {app} grants {required}.",
		Remedy: "Ask for scopes that `apps.*.scopes` lists, or for none.",
	},
	identity.MappingFailed: {
		Check: "claims", Meaning: "A claim of the context, or the customer id, could not be made.",
		Usual: "The rule reads a claim that this person does not have.", likely: "App {app} could not apply a rule to this person: {measured}. The rule is {required}.",
		Remedy: "Have the issuer send what the rule reads, or write the rule so that it allows for that: `claims.?tier.orValue('standard')`, or `claims.?tier` to leave the claim out. `chatpass check --token` tries it.",
	},
	identity.ContextTooLarge: {
		Check: "context", Meaning: "The context would exceed 4 KiB, and would not fit into everybody's headers.",
		Usual: "A long list of groups is mapped.", likely: "A long list is mapped: the context would have {measured}.",
		Remedy: "Map what the audience needs, and no more; `chatpass check --token` measures it.",
	},

	identity.NoSession: {
		Check: "session", Meaning: "Nobody is signed in, or the cookie or context leads to no session.",
		Usual: "First visit; cookies are blocked; the session is long over.", likely: "A first visit, blocked cookies, or a session long over ({measured}).",
		Remedy: "Sign in.",
	},
	identity.IdleTimeout: {
		Check: "session", Meaning: "The person did nothing for longer than `session.idle`.",
		Usual: "Lunch.", likely: "The person was away: {measured}, where {required} is allowed.",
		Remedy: "Sign in again; usually the issuer asks for nothing.",
	},
	identity.AbsoluteTimeout: {
		Check: "session", Meaning: "The session has reached `session.absolute` (4 h by default without a refresh token), or a derived one `session.site_absolute`, or the end that the issuer set by `session_expiry` or its refresh token.",
		Usual: "A long shift.", likely: "The session has lived its life: {measured}, where {required} is allowed.",
		Remedy: "Sign in again, or exchange a fresh ID token.",
	},
	identity.SignedOut: {
		Check: "session", Meaning: "The person signed out, or another one signed in.",
		Usual: "A second tab that has not heard of the sign-out.", likely: "The person signed out, and another tab has not heard of it: the session {measured}.",
		Remedy: "Sign in.",
	},
	identity.EndedByIssuer: {
		Check: "session", Meaning: "The issuer ended the session (back-channel or front-channel logout), or answered `invalid_grant` when it was asked whether the sign-in still stands, or the token is older than a sign-out, a revocation or a logout token that ended its sign-in.",
		Usual: "The person signed out, at the identity provider or here, or was disabled there, or the app's backend revoked a session.", likely: "The person's sign-in at issuer {idp} was ended by the issuer, a sign-out or a revocation: {measured}.",
		Remedy: "Sign in.",
	},
	identity.Revoked: {
		Check: "session", Meaning: "The session was revoked.",
		Usual: "An operator or the app ended it, the customer had more than `sessions_per_customer`, or its issuer is none of the app's any more.", likely: "An operator or the app ended it, the customer had too many, or the app's issuers changed: {measured}.",
		Remedy: "Sign in.",
	},
	identity.CustomerMismatch: {
		Check: "customer", Meaning: "The session belongs to another customer than the page expected.",
		Usual:  "Somebody else signed in, in another tab.",
		Remedy: "Reload the page, or accept the new customer (`acceptCustomer()` of the SDK).",
	},
	identity.SignInExpired: {
		Check: "sign-in", Meaning: "The sign-in took longer than 15 minutes, its result waited longer than 2, another page or browser tries to claim it, or the issuer says that it was completed before. A sign-out must begin within a minute.",
		Usual: "The tab was closed for a while.", likely: "The tab was closed for a while, or cookies are blocked: {measured}, where {required} is needed.",
		Remedy: "Start a new sign-in.",
	},
	identity.SignInClaimed: {
		Check: "sign-in", Meaning: "The sign-in was claimed before.",
		Usual: "A request that was repeated.", likely: "The request was repeated: the sign-in was {measured}.",
		Remedy: "If no session is there, start a new sign-in.",
	},
	identity.PersonDisabled: {
		Check: "session", Meaning: "The issuer has disabled the person.",
		Usual: "They left the company.", Remedy: "Ask the company's help desk.",
	},
	identity.SessionEnding: {
		Check: "session", Meaning: "The session ends too soon for a context that is worth handing out.",
		Usual: "The end of a long shift.", likely: "The session ends: {measured}, and a context needs {required}.",
		Remedy: "Sign in again.",
	},
	identity.IssuerUnreachable: {
		Check: "session", Meaning: "The issuer could not be asked for longer than `session.liveness_grace` whether the sign-in still stands. The session has not ended: it goes on when the issuer answers.",
		Usual: "An outage of the identity provider, or a client secret that it does not take any more.", likely: "The issuer {idp} is down, or refuses us as its client: {measured}, where {required} is allowed.",
		Remedy: "The log says which. Sign in again when the issuer is back.",
	},

	identity.ActorNotAllowed: {
		Check: "actor", Meaning: "No `actors` rule lets this actor act for the person, or what the tokens or the client are forbids it.",
		Usual: "The actor's issuer or client is in no rule, or the rule's `admit` says no to them; the client is no backend; the person's token names others in `may_act`; the issuer says by a claim `act` that somebody acts for the person already.", likely: "The actor may not act for this person: {measured}, where {required} is needed.",
		Remedy: "It depends on what was measured. No rule: add one for the actor's issuer and client, or mend its `admit`. A client that is no backend: call from a backend. A claim `act`: let the actor come with an ID token of their own, as `actor_token`. Not named by `may_act`: only the issuer of the person's token can change that.",
	},
	identity.ActorTooDeep: {
		Check: "actor chain", Meaning: "The chain of actors is longer than three.",
		Usual: "Services that delegate in a circle.", likely: "Services delegate in a circle: {measured}, where {required} is allowed.",
		Remedy: "Shorten the chain.",
	},
	identity.ActorWider: {
		Check: "narrowing", Meaning: "A narrowed or delegated context would be wider than the one it comes from, or for another conversation.",
		Usual: "A service that asks for its own scope instead of the caller's.", likely: "The client asked for {measured}, and the context that it comes from has {required}.",
		Remedy: "Ask for less; for another conversation, exchange what the context came from.",
	},
	identity.ActorTokenRejected: {
		Check: "actor token", Meaning: "The actor token is not acceptable.",
		Usual: "An expired token, or one of another client than the rule's `accepts`.", likely: "The actor's own token is at fault: {measured}, where {required} is needed.",
		Remedy: "Get a fresh ID token of the actor; the ladder names the check that failed.",
	},

	identity.LimitPerIP: {
		Check: "limit", Meaning: "Too many refused requests came from this address.",
		Usual: "A script with a wrong configuration; a proxy that `trusted_proxies` does not name, so that everybody seems to come from it.", Remedy: "Wait for `retry_after` seconds; see what else is refused. The limit is `limits.refusals_per_minute_per_ip`.",
	},
	identity.LimitPerClient: {
		Check: "limit", Meaning: "The client asks too often.",
		Usual: "A loop.", Remedy: "Wait for `retry_after` seconds; keep contexts until `renew_in`. The limit is `limits.exchanges_per_minute_per_client`.",
	},
	identity.LimitPerSession: {
		Check: "limit", Meaning: "One session asked for too many contexts within a minute.",
		Usual:  "A widget that renews in a loop: the chat's backend refuses every context.",
		Remedy: "Wait for `retry_after` seconds; see why contexts are refused. The limit is `limits.contexts_per_minute_per_session`.",
	},
	identity.Shedding: {
		Check: "load", Meaning: "The service is overloaded.",
		Usual: "More requests than this machine can sign for.", Remedy: "Try again after `retry_after` seconds; add a replica.",
	},
	identity.Internal: {
		Check: "service", Meaning: "The service failed.", Usual: "A bug.", Remedy: "The service's log has the cause, under the `request_id` and the `decision`.",
	},
	identity.StoreUnavailable: {
		Check: "store", Meaning: "The store could not be asked. Nobody is signed out by it.",
		Usual: "A full disk; a database that restarts.", Remedy: "Try again after `retry_after` seconds; `chatpass check` says more.",
	},
	identity.NoIssuerKey: {
		Check: "issuer", Meaning: "The issuer could not be asked, and no key of it is in memory; or a client's own `jwks_uri` could not, for long.",
		Usual:  "An outage of the identity provider, or of the client's own host; a firewall; a wrong CA.",
		Remedy: "Try again after `retry_after` seconds; `chatpass check` says more.",
	},
	identity.NoSigningKey: {
		Check: "signing key", Meaning: "No signing key may be used at the moment.",
		Usual: "The store has been away for longer than a key's lease.", Remedy: "Bring the store back; `/readyz` says the same.",
	},
	identity.ClockNotTrusted: {
		Check: "clock", Meaning: "This replica's clock differs from the others'.", Usual: "NTP is off.", Remedy: "Set the clock.",
	},
}
