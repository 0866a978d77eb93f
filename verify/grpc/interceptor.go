// Package verifygrpc checks chat contexts for gRPC services, as [verify.Verifier.Middleware] does for HTTP
// ones. It is a module of its own, so that who verifies over HTTP needs no gRPC.
//
//	check := verifygrpc.New(verifygrpc.Config{Verifier: verifier})
//	server := grpc.NewServer(grpc.ChainUnaryInterceptor(check.Unary), grpc.ChainStreamInterceptor(check.Stream))
//
// A handler gets the context from [verify.FromContext].
package verifygrpc

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"chatpass/verify"
)

// domain is the ErrorInfo domain of the refusals.
const domain = "chatpass"

// Config says what an [Interceptor] asks of calls.
type Config struct {
	// Verifier is asked about every context.
	Verifier *verify.Verifier
	// Demands are what methods ask besides, by full name: "/bank.Accounts/Transfer".
	Demands map[string]verify.Demand
	// Open are methods, by full name, that may be called without a context; no handler of theirs gets one.
	Open []string
}

// An Interceptor refuses calls without a good context in the metadata `authorization`. The refusals carry an
// ErrorInfo of the domain chatpass, with the reason in capitals:
//
//	no context, or one that is rejected    Unauthenticated
//	sign in again, or better (RFC 9470)    Unauthenticated, metadata acr_values, max_age
//	a scope is missing                     PermissionDenied, metadata scope
//	could not tell                         Unavailable
type Interceptor struct {
	all      *verify.Verifier
	byMethod map[string]*verify.Verifier
	open     []string
}

// New returns an interceptor.
func New(cfg Config) *Interceptor {
	i := &Interceptor{all: cfg.Verifier, byMethod: map[string]*verify.Verifier{}, open: slices.Clone(cfg.Open)}
	for method, demand := range cfg.Demands {
		i.byMethod[method] = cfg.Verifier.Require(demand)
	}
	return i
}

// Unary is a [grpc.UnaryServerInterceptor].
func (i *Interceptor) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx, err := i.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handle(ctx, req)
}

// Stream is a [grpc.StreamServerInterceptor]. A stream is checked when it begins, and not again: a handler
// that serves one for longer than a context lives has to look at Context.Expires.
func (i *Interceptor) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, err := i.admit(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handle(srv, &admitted{ServerStream: stream, ctx: ctx})
}

// admitted is a stream whose context carries the chat context.
type admitted struct {
	grpc.ServerStream
	ctx context.Context
}

// Context is what the handler sees.
func (s *admitted) Context() context.Context { return s.ctx }

func (i *Interceptor) admit(ctx context.Context, method string) (context.Context, error) {
	if slices.Contains(i.open, method) {
		return ctx, nil
	}
	token, err := bearer(ctx)
	if err != nil {
		return nil, err
	}
	verifier, ok := i.byMethod[method]
	if !ok {
		verifier = i.all
	}
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		return nil, refusal(err)
	}
	return verify.NewContext(ctx, verified), nil
}

// bearer returns the call's bearer token.
func bearer(ctx context.Context) (string, error) {
	credentials := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(credentials) > 1 {
		return "", refuse(codes.Unauthenticated, "the token was sent more than once", &errdetails.ErrorInfo{Reason: "SENT_TWICE"})
	}
	for _, one := range credentials {
		if scheme, token, _ := strings.Cut(one, " "); strings.EqualFold(scheme, "Bearer") {
			return strings.TrimLeft(token, " "), nil
		}
	}
	return "", refuse(codes.Unauthenticated, "no token", &errdetails.ErrorInfo{Reason: "NO_TOKEN"})
}

func refusal(err error) error {
	rejected, ok := errors.AsType[*verify.Error](err)
	if !ok {
		return refuse(codes.Unavailable, "the token cannot be checked now", &errdetails.ErrorInfo{Reason: "UNAVAILABLE"})
	}
	info := &errdetails.ErrorInfo{Reason: strings.ToUpper(string(rejected.Reason)), Metadata: wanted(rejected.Demand)}
	switch rejected.Reason {
	case verify.InsufficientScope:
		return refuse(codes.PermissionDenied, "the token lacks a scope", info)
	case verify.InsufficientAuthentication:
		return refuse(codes.Unauthenticated, "the customer must sign in again", info)
	}
	return refuse(codes.Unauthenticated, "the token is not accepted: "+string(rejected.Reason), info)
}

// wanted tells a client what to ask for, in the words of RFC 6750 §3 and RFC 9470 §3.
func wanted(d verify.Demand) map[string]string {
	wanted := map[string]string{}
	if len(d.Scopes) > 0 {
		wanted["scope"] = strings.Join(d.Scopes, " ")
	}
	if len(d.ACR) > 0 {
		wanted["acr_values"] = strings.Join(d.ACR, " ")
	}
	if d.MaxAuthAge > 0 {
		wanted["max_age"] = strconv.FormatInt(int64(d.MaxAuthAge.Seconds()), 10)
	}
	return wanted
}

// refuse says why, for people and for programs. Its texts are fixed: nothing of the call comes back.
func refuse(code codes.Code, text string, info *errdetails.ErrorInfo) error {
	info.Domain = domain
	refused := status.New(code, text)
	if detailed, err := refused.WithDetails(info); err == nil {
		refused = detailed
	}
	return refused.Err()
}
