package identity

// A Code names one reason for a refusal. Codes are part of the public contract: a code never
// changes its meaning. docs/refusals.md explains each.
type Code string

// The request itself.
const (
	UnsupportedGrantType Code = "CP-101"
	ParameterMissing     Code = "CP-102"
	UnsupportedTokenType Code = "CP-103"
	TooLarge             Code = "CP-104"
	OriginNotAllowed     Code = "CP-105"
	ClientUnknown        Code = "CP-106"
	ClientAuthentication Code = "CP-107"
	ParameterRepeated    Code = "CP-108"
	ParameterUnsupported Code = "CP-109"
	MalformedToken       Code = "CP-110"
	CSRFFailed           Code = "CP-111"
	MethodNotAllowed     Code = "CP-112"
	ClientMayNotExchange Code = "CP-113"
)

// The subject token.
const (
	IssuerNotTrusted    Code = "CP-201"
	KeyUnknown          Code = "CP-202"
	SignatureInvalid    Code = "CP-203"
	AlgorithmNotAllowed Code = "CP-204"
	TokenExpired        Code = "CP-205"
	IssuedInFuture      Code = "CP-206"
	AudienceMismatch    Code = "CP-207"
	NonceMismatch       Code = "CP-208"
	TokenAlreadyUsed    Code = "CP-209"
	AuthenticationStale Code = "CP-211"
	NotAnIDToken        Code = "CP-212"
	ClaimAmbiguous      Code = "CP-213"
	ClaimMissing        Code = "CP-214"
	HeaderUnsupported   Code = "CP-215"
	StepUpNeeded        Code = "CP-216"
	StepUpUnmet         Code = "CP-217"
)

// The app's rules.
const (
	AppSuspended       Code = "CP-301"
	NotAdmitted        Code = "CP-302"
	AudienceNotAllowed Code = "CP-303"
	ScopeNotAllowed    Code = "CP-304"
	MappingFailed      Code = "CP-305"
	ContextTooLarge    Code = "CP-306"
)

// The session.
const (
	NoSession         Code = "CP-401"
	IdleTimeout       Code = "CP-402"
	AbsoluteTimeout   Code = "CP-403"
	SignedOut         Code = "CP-404"
	EndedByIssuer     Code = "CP-405"
	Revoked           Code = "CP-406"
	CustomerMismatch  Code = "CP-407"
	SignInExpired     Code = "CP-408"
	SignInClaimed     Code = "CP-409"
	PersonDisabled    Code = "CP-410"
	SessionEnding     Code = "CP-411"
	IssuerUnreachable Code = "CP-412"
)

// Delegation.
const (
	ActorNotAllowed    Code = "CP-501"
	ActorTooDeep       Code = "CP-502"
	ActorWider         Code = "CP-503"
	ActorTokenRejected Code = "CP-504"
)

// Limits and faults of ours.
const (
	LimitPerIP       Code = "CP-701"
	LimitPerClient   Code = "CP-702"
	LimitPerSession  Code = "CP-703"
	Shedding         Code = "CP-704"
	Internal         Code = "CP-900"
	StoreUnavailable Code = "CP-901"
	NoIssuerKey      Code = "CP-902"
	NoSigningKey     Code = "CP-903"
	ClockNotTrusted  Code = "CP-904"
)
