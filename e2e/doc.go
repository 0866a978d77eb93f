// Package e2e runs the built binary against the real thing: an identity provider that others wrote
// and certified (npm oidc-provider), browsers, and verifiers that know no more of us than a URL.
//
// The tests in Go need no browser; those in the folder browser drive Chromium. Both start the binary
// that the environment variable CHATPASS names, else one they build themselves.
package e2e
