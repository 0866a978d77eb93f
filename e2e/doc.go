// Package e2e runs the built binary against the real thing: an identity provider that others wrote
// and certified (npm oidc-provider), browsers, and verifiers that know no more of us than a URL.
//
// The tests in Go need no browser; those in the folder browser drive Chromium. Both start the binary
// that the environment variable CHATPASS names, else one they build themselves.
//
// CHATPASS_E2E_STORE says where every site of a run keeps its records: sqlite (default), or postgres, on the
// server of CHATPASS_TEST_POSTGRES. Replicas are tested with postgres alone.
package e2e
