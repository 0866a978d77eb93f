package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	jwtauthn "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	istio "istio.io/api/security/v1"
)

// recipe returns the documents of a YAML block of docs/verify-elsewhere.md.
func recipe(t *testing.T, name string) []map[string]any {
	t.Helper()
	guide, err := os.ReadFile("../docs/verify-elsewhere.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(# " + regexp.QuoteMeta(name) + ".*?)```").FindSubmatch(guide)
	if block == nil {
		t.Fatalf("the guide has no %s", name)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(block[1]), yaml.Strict())
	var documents []map[string]any
	for {
		var document map[string]any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, document)
	}
}

// into reads a part of a recipe as that message: a member that the message does not have is an error.
func into[M proto.Message](t *testing.T, part any, message M) M {
	t.Helper()
	text, err := json.Marshal(part)
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(text, message); err != nil {
		t.Fatal(err)
	}
	return message
}

// wantNamed tells whether a recipe is for the issuer and the service of the others in the guide.
func wantNamed(t *testing.T, issuer string, audiences []string) {
	t.Helper()
	if issuer != "https://chat-auth.example.com" || !slices.Equal(audiences, []string{"https://api.example.com"}) {
		t.Errorf("it is for %s and %v", issuer, audiences)
	}
}

// The recipe is what Envoy's own types and their constraints make of it, not only YAML.
func TestEnvoyUnderstandsItsRecipe(t *testing.T) {
	filter := recipe(t, "envoy.yaml")[0]["http_filters"].([]any)[0].(map[string]any)
	typed := filter["typed_config"].(map[string]any)
	said := typed["@type"]
	delete(typed, "@type")
	config := into(t, typed, &jwtauthn.JwtAuthentication{})
	if want := "type.googleapis.com/" + string(config.ProtoReflect().Descriptor().FullName()); said != want {
		t.Errorf("@type is %v, want %v", said, want)
	}
	if err := config.ValidateAll(); err != nil {
		t.Error(err)
	}
	providers := slices.Collect(maps.Keys(config.GetProviders()))
	for _, rule := range config.GetRules() {
		if name := rule.GetRequires().GetProviderName(); !slices.Contains(providers, name) {
			t.Errorf("a rule requires %q, there are %v", name, providers)
		}
	}
	if len(config.GetRules()) == 0 {
		t.Error("no request needs a context")
	}
	provider := config.GetProviders()["chatpass"]
	wantNamed(t, provider.GetIssuer(), provider.GetAudiences())
	keys := provider.GetRemoteJwks().GetHttpUri()
	if !provider.GetRequireExpiration() || !strings.HasPrefix(keys.GetUri(), provider.GetIssuer()+"/") || keys.GetCluster() == "" {
		t.Errorf("provider: %v", provider)
	}
}

func TestIstioUnderstandsItsRecipe(t *testing.T) {
	documents := recipe(t, "istio.yaml")
	authentication := into(t, documents[0]["spec"], &istio.RequestAuthentication{})
	policy := into(t, documents[1]["spec"], &istio.AuthorizationPolicy{})
	for i, kind := range []string{"RequestAuthentication", "AuthorizationPolicy"} {
		if documents[i]["kind"] != kind || documents[i]["apiVersion"] != "security.istio.io/v1" {
			t.Errorf("document %d is a %v of %v", i, documents[i]["kind"], documents[i]["apiVersion"])
		}
	}
	rule := authentication.GetJwtRules()[0]
	wantNamed(t, rule.GetIssuer(), rule.GetAudiences())
	if !proto.Equal(authentication.GetSelector(), policy.GetSelector()) || !strings.HasPrefix(rule.GetJwksUri(), rule.GetIssuer()+"/") {
		t.Errorf("%v and %v", authentication, policy)
	}
	callers := policy.GetRules()[0].GetFrom()[0].GetSource().GetRequestPrincipals()
	if policy.GetAction() != istio.AuthorizationPolicy_ALLOW || !slices.Equal(callers, []string{rule.GetIssuer() + "/*"}) {
		t.Errorf("policy: %v", policy)
	}
}
