package config

import (
	"slices"
	"strings"
)

// minSalt is the least length in bytes of a salt: that of the HMAC-SHA-256 output (RFC 2104 §3).
const minSalt = 32

func (k *checker) checkApp(app *App, names map[string]string) {
	path := "apps." + app.Name
	k.checkAppIssuers(path, app)
	k.checkSubject(path, app)
	for i := range app.Actors {
		k.checkActor(indexed(path+".actors", i), app, &app.Actors[i])
	}
	for i := range app.Clients {
		at := path + ".clients." + app.Clients[i].Name
		k.checkUnique(at, app.Clients[i].Name, names)
		k.checkClient(at, app, &app.Clients[i])
	}
	for i := range app.Verifiers {
		at := path + ".verifiers." + app.Verifiers[i].Name
		k.checkUnique(at, app.Verifiers[i].Name, names)
		k.checkVerifier(at, &app.Verifiers[i])
	}
}

// checkUnique refuses a client or verifier name that another one in the file has.
func (k *checker) checkUnique(path, name string, names map[string]string) {
	if first, taken := names[name]; taken {
		k.fault(path, problem{"has the name of " + first, "write another name: client ids are unique in the file"})
		return
	}
	names[name] = path
}

// issuer returns the issuer of that name after noting at path that there is none.
func (k *checker) issuer(path, name string) (*Issuer, bool) {
	var names []string
	for i := range k.cfg.Issuers {
		if k.cfg.Issuers[i].Name == name {
			return &k.cfg.Issuers[i], true
		}
		names = append(names, k.cfg.Issuers[i].Name)
	}
	k.judge(path, unknownName(name, "no issuer of this file", names))
	return nil, false
}

func unknownName(name, what string, known []string) problem {
	const enough = 20
	remedy := "write one of " + strings.Join(known[:min(len(known), enough)], ", ")
	if near := nearest(name, known); near != "" {
		remedy = "write " + near
	}
	if len(known) == 0 {
		remedy = "remove it"
	}
	return problem{label(name) + " is " + what, remedy}
}

// checkAppIssuers checks that each exists and that no `iss` could mean two of them.
func (k *checker) checkAppIssuers(path string, app *App) {
	owner := map[string]string{}
	for i, name := range app.Issuers {
		at := indexed(path+".issuers", i)
		issuer, ok := k.issuer(at, name)
		if !ok || slices.Contains(app.Issuers[:i], name) {
			continue
		}
		for _, iss := range issuer.names() {
			if other, taken := owner[iss]; taken && other != name {
				k.judge(at, problem{name + " has the same iss as " + other + ": a token could mean either", "keep one of them in this app"})
			}
			owner[iss] = name
		}
	}
}

func (k *checker) checkSubject(path string, app *App) {
	sources := 0
	for _, issuer := range k.cfg.Issuers {
		if slices.Contains(app.Issuers, issuer.Name) {
			sources += max(1, len(issuer.Tenants))
		}
	}
	if app.Subject != "pairwise" && sources > 1 && !app.DangerouslySharedSubjects {
		k.judge(path+".subject", problem{"could give people of several issuers or tenants one customer id", "write pairwise, or add dangerously_shared_subjects: true"})
	}
	if n := len(app.SubjectSalt.Reveal()); n < minSalt {
		k.judge(path+".subject_salt", problem{"is shorter than 32 bytes", "make one with openssl rand -base64 32"})
	}
}

// checkSalts checks that apps with one sector have one salt, else a person had two customer ids in it.
func (k *checker) checkSalts() {
	first := map[string]*App{}
	for i := range k.cfg.Apps {
		app := &k.cfg.Apps[i]
		other, shared := first[app.SubjectSector]
		if !shared {
			first[app.SubjectSector] = app
			continue
		}
		if app.SubjectSalt != other.SubjectSalt {
			k.fault("apps."+app.Name+".subject_salt", problem{"is not the salt of app " + other.Name + ", which shares the sector " + app.SubjectSector, "write the same subject_salt in both, or another subject_sector"})
		}
	}
}

func (k *checker) checkActor(path string, app *App, actor *Actor) {
	if k.fine(path + ".issuer") {
		k.issuer(path+".issuer", actor.Issuer)
	}
	for i, scope := range actor.Scopes {
		if !slices.Contains(app.Scopes, scope) {
			k.judge(indexed(path+".scopes", i), unknownName(scope, "no scope of this app", app.Scopes))
		}
	}
}
