package verifygrpc_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"chatpass/verify"
	verifygrpc "chatpass/verify/grpc"
)

const audience = "https://api.example.com"

type object = map[string]any

// An issuer publishes one key.
type issuer struct {
	*httptest.Server
	private ed25519.PrivateKey
	down    atomic.Bool
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{private: private}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document := object{"issuer": i.URL, "jwks_uri": i.URL + "/keys"}
		if r.URL.Path == "/keys" {
			document = object{"keys": []object{{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(public), "kid": "k1", "alg": "EdDSA", "use": "sig"}}}
		}
		if i.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
		_ = json.NewEncoder(w).Encode(document)
	}))
	t.Cleanup(i.Close)
	return i
}

// context is a good one, with one claim changed.
func (i *issuer) context(t *testing.T, name string, value any) string {
	t.Helper()
	now := time.Now()
	claims := object{
		"iss": i.URL, "aud": audience, "sub": "c-1", "client_id": "support-web", "jti": "j-1", "scope": "chat:read", "acr": "gold",
		"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "chat": object{"ver": 1, "app": "support"},
	}
	claims[name] = value
	input := part(t, object{"alg": "EdDSA", "kid": "k1", "typ": "at+jwt"}) + "." + part(t, claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.private, []byte(input)))
}

func part(t *testing.T, o object) string {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// A desk is a service that serves known customers only; its List is open to all and expects none.
type desk struct {
	health.UnimplementedHealthServer
}

func served(ctx context.Context, known bool) (*health.HealthCheckResponse, error) {
	if c, ok := verify.FromContext(ctx); ok != known || ok && c.Customer != "c-1" {
		return nil, status.Errorf(codes.Internal, "customer is %v", c)
	}
	return &health.HealthCheckResponse{}, nil
}

func (desk) Check(ctx context.Context, _ *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	return served(ctx, true)
}

func (desk) List(ctx context.Context, _ *health.HealthListRequest) (*health.HealthListResponse, error) {
	_, err := served(ctx, false)
	return &health.HealthListResponse{}, err
}

func (desk) Watch(_ *health.HealthCheckRequest, stream grpc.ServerStreamingServer[health.HealthCheckResponse]) error {
	answer, err := served(stream.Context(), true)
	if err != nil {
		return err
	}
	return stream.Send(answer)
}

// serve starts a real server, and returns a client of it.
func serve(t *testing.T, cfg verifygrpc.Config) health.HealthClient {
	t.Helper()
	check := verifygrpc.New(cfg)
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(check.Unary), grpc.ChainStreamInterceptor(check.Stream))
	health.RegisterHealthServer(server, desk{})
	listener := bufconn.Listen(1 << 16)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	dial := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) })
	connection, err := grpc.NewClient("passthrough:///desk", dial, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return health.NewHealthClient(connection)
}

func verifier(t *testing.T, i *issuer) *verify.Verifier {
	t.Helper()
	v, err := verify.New(i.URL, audience, verify.WithRequiredScopes("chat:read"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// An outcome is what matters of a call's end.
type outcome struct {
	Code   codes.Code
	Text   string
	Reason string
	Wanted map[string]string
}

func outcomeOf(t *testing.T, err error) outcome {
	t.Helper()
	end := status.Convert(err)
	o := outcome{Code: end.Code(), Text: end.Message()}
	for _, detail := range end.Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != "chatpass" {
			t.Errorf("detail %v", detail)
		}
		o.Reason, o.Wanted = info.GetReason(), info.GetMetadata()
	}
	return o
}

// ask calls a unary method and a stream, which must end alike.
func ask(t *testing.T, client health.HealthClient, credentials ...string) outcome {
	t.Helper()
	ctx := t.Context()
	for _, c := range credentials {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", c)
	}
	_, err := client.Check(ctx, &health.HealthCheckRequest{})
	unary := outcomeOf(t, err)
	stream, err := client.Watch(ctx, &health.HealthCheckRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if diff := cmp.Diff(unary, outcomeOf(t, err)); diff != "" {
		t.Errorf("a stream ends in another way: %s", diff)
	}
	return unary
}

func TestCallsAreAdmittedByTheirContext(t *testing.T) {
	i := newIssuer(t)
	good, expired, bare := i.context(t, "x", 1), i.context(t, "exp", 1), i.context(t, "scope", "")
	rejected := func(reason, capitals string) outcome {
		return outcome{codes.Unauthenticated, "the token is not accepted: " + reason, capitals, nil}
	}
	none := outcome{codes.Unauthenticated, "no token", "NO_TOKEN", nil}
	client := serve(t, verifygrpc.Config{Verifier: verifier(t, i)})
	for _, test := range []struct {
		name        string
		credentials []string
		want        outcome
	}{
		{"good", []string{"Bearer " + good}, outcome{}},
		{"scheme in lower case", []string{"bearer  " + good}, outcome{}},
		{"none", nil, none},
		{"of another scheme", []string{"Basic YTpi"}, none},
		{"two", []string{"Bearer " + good, "Bearer " + good}, outcome{codes.Unauthenticated, "the token was sent more than once", "SENT_TWICE", nil}},
		{"expired", []string{"Bearer " + expired}, rejected("expired", "EXPIRED")},
		{"signature changed", []string{"Bearer " + good[:len(good)-4] + "AAAA"}, rejected("signature", "SIGNATURE")},
		{"empty", []string{"Bearer "}, rejected("malformed", "MALFORMED")},
		{"without scope", []string{"Bearer " + bare}, outcome{codes.PermissionDenied, "the token lacks a scope", "INSUFFICIENT_SCOPE", map[string]string{"scope": "chat:read"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, ask(t, client, test.credentials...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMethodsDemandMore(t *testing.T) {
	i := newIssuer(t)
	demand := verify.Demand{ACR: []string{"platinum", "phr"}, MaxAuthAge: 5 * time.Minute}
	client := serve(t, verifygrpc.Config{
		Verifier: verifier(t, i),
		Demands:  map[string]verify.Demand{health.Health_Check_FullMethodName: demand, health.Health_Watch_FullMethodName: demand},
	})
	want := outcome{
		codes.Unauthenticated, "the customer must sign in again", "INSUFFICIENT_AUTHENTICATION",
		map[string]string{"acr_values": "platinum phr", "max_age": "300"},
	}
	if diff := cmp.Diff(want, ask(t, client, "Bearer "+i.context(t, "x", 1))); diff != "" {
		t.Error(diff)
	}
}

func TestAnOutageIsNoRejection(t *testing.T) {
	i := newIssuer(t)
	i.down.Store(true)
	client := serve(t, verifygrpc.Config{Verifier: verifier(t, i)})
	want := outcome{codes.Unavailable, "the token cannot be checked now", "UNAVAILABLE", nil}
	if diff := cmp.Diff(want, ask(t, client, "Bearer "+i.context(t, "x", 1))); diff != "" {
		t.Error(diff)
	}
}

func TestOpenMethodsNeedNoContext(t *testing.T) {
	i := newIssuer(t)
	client := serve(t, verifygrpc.Config{Verifier: verifier(t, i), Open: []string{health.Health_List_FullMethodName}})
	for _, ctx := range []context.Context{t.Context(), metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer x")} {
		if _, err := client.List(ctx, &health.HealthListRequest{}); err != nil {
			t.Error(err)
		}
	}
	if got := ask(t, client); got.Code != codes.Unauthenticated {
		t.Errorf("got %v", got)
	}
}
