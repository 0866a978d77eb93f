package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxName is the greatest length in bytes of a name.
const maxName = 64

// A form is a kind of text: what it says of itself, the pattern that editors check, and the check.
type form struct {
	says    string // for the schema and the documentation
	pattern string // ECMA-262, for the schema; "" if only the check can tell
	check   func(text string, allowHTTP bool) problem
}

// formOf returns the form that a tag names; the empty form takes everything.
func formOf(name string) form {
	switch name {
	case "text":
		return form{"text without spaces around it", "", checkText}
	case "word":
		return matching("text without spaces", `^[!-~]+$`)
	case "tenant id":
		return form{"a tenant's id: 1 to 64 letters, digits and -", tenantPattern, checkTenantID}
	case "rule":
		return form{"CEL", "", acceptAny}
	case "scope":
		return matching("a scope (RFC 6749 §3.3): printable ASCII without space, quote and backslash", `^[!#-\[\]-~]+$`)
	case "key id":
		return matching("a key id: 43 characters of base64url", `^[A-Za-z0-9_-]{43}$`)
	case "issuer name":
		return matching("1 to 64 letters, digits, - and _", `^[A-Za-z0-9_-]{1,64}$`)
	case "app name":
		return form{"1 to 32 lower-case letters, digits and -; not beginning with txn-", appPattern, checkAppName}
	case "client name":
		return matching("1 to 64 letters, digits and -._~", `^[A-Za-z0-9._~-]{1,64}$`)
	case "claim name":
		return matching("a claim's name: a letter or _, then up to 63 letters, digits and _:/.-", claimPattern)
	case "context claim":
		return form{"a claim's name: a letter or _, then up to 63 letters, digits and _:/.-; not a reserved one", claimPattern, checkContextClaim}
	case "store":
		return form{"sqlite:/path or postgres://user@host/db", "", checkStore}
	case "proxy":
		return form{"http://host:port", "", checkProxy}
	case "path":
		return form{"an absolute path", "^/", checkPath}
	case "address":
		return form{"host:port or :port", ":[0-9]+$", checkAddress}
	case "issuer":
		return form{"an https URL without query and fragment", `^https?://[^?#\s]+$`, checkIssuerURL}
	case "URL":
		return form{"an https URL", `^https?://[^#\s]+$`, checkURL}
	case "return URL":
		return form{"an https URL without fragment", `^https?://[^#\s]+$`, checkURL}
	case "origin":
		return form{"an exact origin: https://host or https://host:port", `^https?://[^/?#*@\s]+$`, checkOrigin}
	}
	return form{"", "", acceptAny}
}

const tenantPattern = `^[A-Za-z0-9-]{1,64}$`

// checkTenantID refuses the names by which Entra means many tenants: no token carries one.
func checkTenantID(text string, _ bool) problem {
	if slices.Contains([]string{"common", "organizations", "consumers"}, text) {
		return problem{text + " is no tenant but all of them", "write the id of each tenant that may sign in"}
	}
	return matching("a tenant's id: letters, digits and -, as in the claim tid", tenantPattern).check(text, false)
}

const claimPattern = `^[A-Za-z_][A-Za-z0-9_:/.-]{0,63}$`

func acceptAny(string, bool) problem { return problem{} }

func matching(says, pattern string) form {
	expression := regexp.MustCompile(pattern)
	return form{says, pattern, func(text string, _ bool) problem {
		if expression.MatchString(text) {
			return problem{}
		}
		return problem{quoted(text) + " has characters or a length that are not allowed", "write " + says}
	}}
}

func checkText(text string, _ bool) problem {
	if text != strings.TrimSpace(text) || strings.ContainsAny(text, "\r\n\t") {
		return problem{quoted(text) + " has spaces around it or a line break in it", "write " + quoted(strings.Join(strings.Fields(text), " "))}
	}
	return problem{}
}

// reserved are the claims that only chatpass sets.
const reserved = " iss sub aud exp nbf iat jti act may_act cnf client_id scope sid status chat auth_time acr amr idp azp nonce at_hash c_hash events sub_id txn "

const appPattern = `^[a-z0-9-]{1,32}$`

// checkAppName keeps apart the names of the two kinds of cookie: one ends with the app's name, the other
// with txn- and more.
func checkAppName(name string, _ bool) problem {
	if strings.HasPrefix(name, "txn-") {
		return problem{name + " begins with txn-, as the cookies of sign-ins do", "write another name"}
	}
	return matching("1 to 32 lower-case letters, digits and -", appPattern).check(name, false)
}

func checkContextClaim(name string, _ bool) problem {
	if strings.Contains(reserved, " "+name+" ") && name != "" {
		return problem{name + " is a reserved claim, which only chatpass sets", "write another name"}
	}
	return matching("a letter or _, then up to 63 letters, digits and _:/.-", claimPattern).check(name, false)
}

func checkPath(text string, _ bool) problem {
	if !filepath.IsAbs(text) {
		return problem{quoted(text) + " is not an absolute path", "write a path that starts with /"}
	}
	return problem{}
}

func checkAddress(text string, _ bool) problem {
	const remedy = "write host:port or :port, such as 127.0.0.1:8080 or :8080"
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return problem{quoted(text) + " is not an address", remedy}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return problem{quoted(port) + " is not a port", "write a port from 0 to 65535"}
	}
	if strings.ContainsAny(host, "*/ ") {
		return problem{quoted(host) + " is not a host", remedy}
	}
	return problem{}
}

// parseWeb parses an absolute http or https URL without user and password.
func parseWeb(text string, allowHTTP bool) (*url.URL, problem) {
	const remedy = "write https://host/path"
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || strings.ContainsFunc(text, unwritten) {
		return nil, problem{"is not an absolute URL", remedy}
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, problem{quoted(u.Scheme) + " is not a scheme for this", "write https://"}
	case u.User != nil:
		return nil, problem{"has a user in it", "write it without user and password"}
	case !validPort(u):
		return nil, problem{quoted(u.Port()) + " is not a port", "write a port from 1 to 65535, or none"}
	case u.Scheme == "http" && !allowHTTP && !isLoopback(u.Hostname()):
		return nil, problem{"is plain http, which anybody on the way can read", "write https://, or for tests dangerously_allow_http: true"}
	}
	return u, problem{}
}

// unwritten says whether a character cannot stand in a URL as browsers send it.
func unwritten(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' }

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}

// isLoopback says whether host can only be this machine (RFC 6761 §6.3).
func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// checkIssuerURL keeps to OIDC Discovery 1.0 §3 and RFC 8414 §2: no query, no fragment.
func checkIssuerURL(text string, allowHTTP bool) problem {
	if strings.ContainsAny(text, "?#") {
		return problem{"has a query or a fragment", "write it without ? and #"}
	}
	_, p := parseWeb(text, allowHTTP)
	return p
}

func checkURL(text string, allowHTTP bool) problem {
	if strings.Contains(text, "#") {
		return problem{"has a fragment", "write it without #"}
	}
	_, p := parseWeb(text, allowHTTP)
	return p
}

// checkOrigin accepts what a browser sends as Origin, byte for byte (RFC 6454 §6.2).
func checkOrigin(text string, allowHTTP bool) problem {
	if text == "null" || strings.Contains(text, "*") {
		return problem{quoted(text) + " would let in pages that you do not know", "list each origin, such as https://www.example.com"}
	}
	u, p := parseWeb(text, allowHTTP)
	if !p.none() {
		return p
	}
	exact := u.Scheme + "://" + strings.ToLower(u.Host)
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		exact = strings.TrimSuffix(exact, ":"+port)
	}
	if text != exact {
		return problem{fmt.Sprintf("%s is not an exact origin: browsers never send it", quoted(text)), "write " + exact}
	}
	return problem{}
}
