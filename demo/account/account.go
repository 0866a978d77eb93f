// Package account is the demo's account API: a service behind the chat that knows nothing of chatpass
// but the issuer's URL and its own audience, and verifies every context by itself.
package account

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"

	"chatpass/verify"
)

// scope is what a context must allow.
const scope = "chat:read"

// New makes the API. Its contexts must come from issuer and be for audience; nothing is fetched before
// the first request.
//
//	GET /balance   the customer's balance
//	GET /customer  who the customer is
//
// Both take `Authorization: Bearer <context>` with scope chat:read and answer JSON, or refuse as RFC 6750
// §3 says.
func New(issuer, audience string) (http.Handler, error) {
	verifier, err := verify.New(issuer, audience)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /balance", verifier.Middleware(answer(balanceOf), scope))
	mux.Handle("GET /customer", verifier.Middleware(answer(func(who Customer) any { return who }), scope))
	return mux, nil
}

// Customer is who a context speaks for. Name and Tier are what the app's configuration maps from the
// identity provider's claims; empty if it does not.
type Customer struct {
	ID   string `json:"customer"`
	Name string `json:"name,omitempty"`
	Tier string `json:"tier,omitempty"`
}

// Balance is an invented sum, always the same for one customer.
type Balance struct {
	Customer
	// Amount is in cents of Currency (ISO 4217).
	Amount   int    `json:"amount_cents"`
	Currency string `json:"currency"`
	Note     string `json:"note"`
}

// answer takes the person from the verified context, never from anything else that the request says.
func answer(say func(Customer) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, ok := verify.FromContext(r.Context())
		if !ok { // the middleware stands before every handler
			http.Error(w, "no verified context", http.StatusInternalServerError)
			return
		}
		name, _ := c.Claims["name"].(string)
		tier, _ := c.Claims["tier"].(string)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(say(Customer{c.Customer, name, tier})) // whoever asked may have gone
	}
}

// balanceOf invents a sum from 10.00 to 2,009.99.
func balanceOf(who Customer) any {
	sum := fnv.New32a()
	fmt.Fprint(sum, who.ID)
	return Balance{Customer: who, Amount: 1000 + int(sum.Sum32()%200000), Currency: "EUR", Note: "invented for the demo"}
}
