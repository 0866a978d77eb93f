# `make` lists what there is to do.
GO    ?= go
TOOL   = $(GO) tool -modfile=$(CURDIR)/tools.mod
GOFILES = $(shell git ls-files --cached --others --exclude-standard '*.go')

.PHONY: help build check test soak demo fmt module-path screenshots

help:
	@echo 'make demo    run everything on this machine and open the shop page'
	@echo 'make build   bin/chatpass: one static binary'
	@echo 'make check   formatting, vet, staticcheck, the house plan'
	@echo 'make test    every test: rooms, SDK, real identity provider, real browser'
	@echo 'make screenshots  every page that people see, in each language, light and dark, into bin/screenshots'
	@echo 'make module-path TO=example.org/chatpass   give the Go modules another path'
	@echo 'make soak    the long forms of the tests; writes docs/soak.md'

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/chatpass ./cmd/chatpass

demo: build
	bin/chatpass demo

check:
	@unformatted=$$($(TOOL) gofumpt -l $(GOFILES)); [ -z "$$unformatted" ] || { echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; }
	@for module in . e2e bench verify/grpc; do (cd $$module && $(GO) vet ./... && $(TOOL) staticcheck ./...) || exit 1; done
	@$(GO) vet -tags pkcs11 ./keys/... ./cmd/... && $(TOOL) staticcheck -tags pkcs11 ./keys/... ./cmd/...
	@$(GO) test -count=1 .

fmt:
	$(TOOL) gofumpt -w $(GOFILES)

test:
	@.ci/prepare
	@$(MAKE) --no-print-directory build
	@node .ci/suites.mjs

soak:
	@.ci/prepare
	@$(MAKE) --no-print-directory build
	@node .ci/soak.mjs

screenshots:
	@.ci/prepare
	@$(MAKE) --no-print-directory build
	@CHATPASS=$(CURDIR)/bin/chatpass CHATPASS_SCREENSHOTS=$(CURDIR)/bin/screenshots node --test --test-reporter=dot e2e/browser/pages.test.mjs e2e/browser/crosssite.test.mjs e2e/browser/prompt.test.mjs
	@echo bin/screenshots

module-path:
	@node .ci/module-path.mjs '$(TO)'
