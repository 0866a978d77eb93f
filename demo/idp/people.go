package idp

import "slices"

// A person is somebody who can sign in. All of them are invented; their addresses and numbers lie in
// the ranges kept free for examples (RFC 2606 §3; +1 202 555 01xx).
type person struct {
	Sub, Name, About, Email, Phone string
	Groups                         []string
	EmailUnverified, BornDisabled  bool
}

// people are in the order of the sign-in page.
func people() []person {
	return []person{
		{Sub: "demo-1001", Name: "Ada", About: "gold customer", Email: "ada@example.com", Phone: "+12025550101", Groups: []string{"customers", "gold"}},
		{Sub: "demo-1002", Name: "Ben", About: "standard customer", Email: "ben@example.com", Phone: "+12025550102", Groups: []string{"customers"}},
		{Sub: "demo-1003", Name: "Cleo", About: "e-mail address not verified", Email: "cleo@example.com", Phone: "+12025550103", Groups: []string{"customers"}, EmailUnverified: true},
		{Sub: "demo-1004", Name: "Dara", About: "account disabled", Email: "dara@example.com", Phone: "+12025550104", Groups: []string{"customers"}, BornDisabled: true},
		{Sub: "demo-1005", Name: "Emil", About: "support agent, no customer", Email: "emil@example.com", Phone: "+12025550105", Groups: []string{"staff", "support-agents"}},
	}
}

// personBy finds the person with a subject.
func personBy(sub string) (person, bool) {
	all := people()
	i := slices.IndexFunc(all, func(p person) bool { return p.Sub == sub })
	if i < 0 {
		return person{}, false
	}
	return all[i], true
}

// Initial stands for a picture.
func (p person) Initial() string { return p.Name[:1] }

// claims are those that the scopes ask for (OpenID Connect Core 1.0 §5.4; `groups` is ours).
func (p person) claims(scope []string) map[string]any {
	all := map[string]any{"sub": p.Sub}
	if slices.Contains(scope, "profile") {
		all["name"], all["given_name"] = p.Name, p.Name
	}
	if slices.Contains(scope, "email") {
		all["email"], all["email_verified"] = p.Email, !p.EmailUnverified
	}
	if slices.Contains(scope, "phone") {
		all["phone_number"], all["phone_number_verified"] = p.Phone, true
	}
	if slices.Contains(scope, "groups") || slices.Contains(scope, "profile") {
		all["groups"] = p.Groups
	}
	return all
}
