package decision

import (
	"context"
	"log/slog"
	"strings"
)

// Log writes the decision's audit line: one JSON object in the shape of the Open Cybersecurity
// Schema Framework, class 3002 (Authentication) for sign-ins and sign-outs, 3003 (Authorize
// Session) for contexts.
func (d *Decision) Log(ctx context.Context, log *slog.Logger) {
	class, activity := d.class()
	log.LogAttrs(ctx, slog.LevelInfo, d.Verb,
		slog.Int("category_uid", 3),
		slog.Int("class_uid", class),
		slog.Int("activity_id", activity),
		slog.Int("type_uid", class*100+activity),
		slog.Int("severity_id", 1),
		slog.Int64("time", d.Time.UnixMilli()),
		slog.String("status", d.status()),
		slog.String("status_code", string(d.Code)),
		slog.GroupAttrs("metadata", slog.String("uid", d.ID), slog.String("correlation_uid", d.RequestID), slog.String("version", "1.6.0")),
		slog.GroupAttrs("user", slog.String("uid", d.Customer), slog.String("uid_alt", d.Subject), slog.String("domain", d.IDP)),
		slog.GroupAttrs("session", slog.String("uid", d.SID), slog.String("credential_uid", d.JTI), slog.String("issuer", d.App)),
		slog.GroupAttrs("unmapped",
			slog.String("app", d.App), slog.String("client", Clip(d.Client)), slog.String("verb", d.Verb),
			slog.String("outcome", string(d.Outcome)), slog.String("audience", strings.Join(d.Audience, " ")),
			slog.String("scope", strings.Join(d.Scope, " ")), slog.String("lifetime", d.Lifetime.String()),
			slog.String("actor", d.Actor), slog.String("failed_check", d.failedCheck())),
	)
}

func (d *Decision) class() (class, activity int) {
	switch d.Verb {
	case "sign-in":
		return 3002, 1 // Logon
	case "sign-out", "logout-token", "front-channel":
		return 3002, 2 // Logoff
	}
	return 3003, 1 // Assign Privileges
}

func (d *Decision) status() string {
	if d.Outcome == Issued {
		return "Success"
	}
	return "Failure"
}

func (d *Decision) failedCheck() string {
	failed, _ := d.Failed()
	return failed.Check
}
