package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4/json"

	"chatpass/jwks"
)

const (
	maxMetadata   = 64 << 10
	wellKnownPath = "/.well-known/oauth-authorization-server"
)

// checkIssuer checks an issuer URL (RFC 8414 §2). Plain http is for loopback, unless the caller brings a
// client that decides for itself.
func checkIssuer(issuer string, anyHTTP bool) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Opaque != "":
		return errors.New("issuer is not a URL such as https://chat-auth.example.com")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		return errors.New("issuer has a query or fragment")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("issuer is not an https URL")
	case u.Scheme == "http" && !anyHTTP && !isLoopback(u.Hostname()):
		return errors.New("issuer is a plain http URL: use https, or WithHTTPClient if you must")
	}
	return nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// metadataURL puts the well-known path between host and path (RFC 8414 §3.1).
func metadataURL(issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return "", err
	}
	origin := u.Scheme + "://" + u.Host
	return origin + wellKnownPath + strings.TrimSuffix(u.EscapedPath(), "/"), nil
}

// discover returns the jwks_uri of the issuer's metadata.
func discover(ctx context.Context, client *http.Client, issuer string) (string, error) {
	address, err := metadataURL(issuer)
	if err != nil {
		return "", fmt.Errorf("read metadata: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", fmt.Errorf("read metadata: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("read metadata: %w", err)
	}
	body, err := jwks.ReadBody(resp, maxMetadata)
	if err != nil {
		return "", fmt.Errorf("read metadata from %s: %w", address, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("read metadata from %s: status %d", address, resp.StatusCode)
	}
	uri, err := readMetadata(body, issuer)
	if err != nil {
		return "", fmt.Errorf("read metadata from %s: %w", address, err)
	}
	return uri, nil
}

// readMetadata checks that the metadata is the issuer's own (RFC 8414 §3.3), and that it does not send
// us elsewhere for the keys.
func readMetadata(body []byte, issuer string) (string, error) {
	var metadata struct {
		Issuer string `json:"issuer"`
		KeySet string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &metadata); err != nil {
		return "", errors.New("not a JSON object with distinct members")
	}
	if metadata.Issuer != issuer {
		return "", fmt.Errorf("it is that of issuer %.100q", metadata.Issuer)
	}
	ours, err := url.Parse(issuer)
	if err != nil {
		return "", err
	}
	uri, err := url.Parse(metadata.KeySet)
	if err != nil || uri.Scheme != ours.Scheme || uri.Host != ours.Host || uri.User != nil {
		return "", fmt.Errorf("jwks_uri %.100q is not of the issuer's origin", metadata.KeySet)
	}
	return metadata.KeySet, nil
}
