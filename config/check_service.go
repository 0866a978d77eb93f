package config

import (
	"crypto/tls"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
)

func (k *checker) checkService() {
	c := k.cfg
	k.checkOwnIssuer()
	if c.DangerouslyServePprof && k.fine("dangerously_serve_pprof") && !listensOnLoopback(c.AdminListen) {
		k.fault("dangerously_serve_pprof", problem{"would show our keys to the network: admin_listen is not loopback", "write admin_listen: 127.0.0.1:9090, or remove it"})
	}
	if c.Listen == c.AdminListen && !strings.HasSuffix(c.Listen, ":0") {
		k.fault("admin_listen", problem{"is the public listener's address", "write an address of its own, such as 127.0.0.1:9090"})
	}
	k.checkTLS()
}

// judge notes p, if it is one, unless the value is not in the file or faulty already.
func (k *checker) judge(path string, p problem) {
	if k.fine(path) {
		k.fault(path, p)
	}
}

func (k *checker) checkOwnIssuer() {
	u, p := parseWeb(k.cfg.Issuer, k.cfg.DangerouslyAllowHTTP)
	if !k.fine("issuer") || !p.none() {
		return
	}
	cleanPath := regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?$`)
	if !cleanPath.MatchString(u.EscapedPath()) {
		k.fault("issuer", problem{"has a path that cannot be served", "write a path of letters, digits and -._~ between single slashes"})
	}
	if k.cfg.DangerouslyShortLifetimes && !isLoopback(u.Hostname()) {
		k.fault("dangerously_short_lifetimes", problem{"is for tests and demos: the issuer is not loopback", "remove it, or write issuer: http://localhost:8080"})
	}
}

// listensOnLoopback says whether an address can be reached from this machine only.
func listensOnLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && isLoopback(host)
}

func (k *checker) checkTLS() {
	if !k.fine("tls.cert") || !k.fine("tls.key") {
		return
	}
	if _, err := tls.X509KeyPair(k.cfg.TLS.Cert, []byte(k.cfg.TLS.Key.Reveal())); err != nil {
		k.fault("tls", problem{"cert and key are not a PEM certificate and its private key", "name the two files of one certificate"})
	}
}

// holdsPassword says whether a URL has a password in it, or where one is kept.
func holdsPassword(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return strings.Contains(text, "@") // whatever it is, show nothing of it
	}
	_, has := u.User.Password()
	return has || strings.Contains(strings.ToLower(u.RawQuery), "password")
}

func checkStore(text string, _ bool) problem {
	scheme, rest, _ := strings.Cut(text, ":")
	switch scheme {
	case "sqlite":
		return checkSQLite(rest)
	case "postgres", "postgresql":
		return checkPostgres(text)
	}
	return problem{"is no store that chatpass knows", "write sqlite:/var/lib/chatpass/chatpass.db or postgres://user@host/db"}
}

func checkSQLite(path string) problem {
	const remedy = "write sqlite:/var/lib/chatpass/chatpass.db"
	switch {
	case strings.ContainsAny(path, "?#"):
		return problem{"has options, and chatpass sets them itself", "write the path alone: sqlite:/var/lib/chatpass/chatpass.db"}
	case strings.HasPrefix(path, "//"):
		return problem{"has slashes too many", remedy}
	case !filepath.IsAbs(path):
		return problem{"does not name a file by an absolute path: another working directory would mean another, empty store", remedy}
	case strings.HasSuffix(path, "/"):
		return problem{"names a directory", remedy}
	}
	return problem{}
}

func checkPostgres(text string) problem {
	const remedy = "write postgres://user@host/db"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "":
		return problem{"is not a URL", remedy}
	case u.Host == "" && !u.Query().Has("host"):
		return problem{"names no host", remedy}
	case strings.Trim(u.Path, "/") == "":
		return problem{"names no database", remedy}
	}
	return problem{}
}

func checkProxy(text string, _ bool) problem {
	const remedy = "write http://host:port"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return problem{"is not the URL of an http proxy", remedy}
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return problem{"has more than a host and a port", remedy}
	}
	return problem{}
}
