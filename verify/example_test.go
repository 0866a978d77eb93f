package verify_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"

	"chatpass/verify"
)

// A service around a handler: what it needs to know is the issuer's URL and its own audience.
func Example() {
	verifier, err := verify.New("https://chat-auth.example.com", "https://api.example.com")
	if err != nil {
		log.Fatal(err)
	}
	go verifier.Run(context.Background()) // optional: keys are fetched before anybody waits for them

	balance := func(w http.ResponseWriter, r *http.Request) {
		customer, _ := verify.FromContext(r.Context())
		fmt.Fprintf(w, "the balance of %s", customer.Customer)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /balance", verifier.Middleware(http.HandlerFunc(balance), "chat:read"))
	log.Fatal(http.ListenAndServe(":8081", mux))
}

// Without HTTP, or for an answer of one's own: a rejected context is not an outage.
func ExampleVerifier_Verify() {
	verifier, err := verify.New("https://chat-auth.example.com", "https://api.example.com", verify.WithRequiredScopes("chat:read"))
	if err != nil {
		log.Fatal(err)
	}
	customer, err := verifier.Verify(context.Background(), "not a context")
	rejected, ok := errors.AsType[*verify.Error](err)
	switch {
	case err == nil:
		fmt.Println("hello", customer.Customer)
	case ok:
		fmt.Println("sign in again:", rejected.Reason)
	default:
		fmt.Println("try again later:", err)
	}
	// Output: sign in again: malformed
}
