# BOP: make run and make test need Go and make alone.
MODULES := modules/aof modules/raft modules/seglog modules/sqlite modules/wire modules/procman apps/bop tools
VERSION := $(shell cat VERSION)
GO      ?= go
BIN     := bin

.DEFAULT_GOAL := help
.PHONY: help run build test test-encrypted lint bench conformance cluster walkthrough soak fuzz s3test coldtest simulate release-check tidy clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/bop
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.release=$(VERSION)" -o $(BIN)/bop ./apps/bop

run: build ## Start the server on loopback, data in bop-data
	$(BIN)/bop serve

test: ## Run the tests of all modules with the race detector
	$(GO) test -race -timeout 30m $(MODULES:%=./%/...)

test-encrypted: ## Run the tests of the storage on encrypted databases, and those that the race detector makes too slow
	$(GO) test ./modules/sqlite -count=1 -timeout 20m -args -encrypted
	$(GO) test ./modules/sqlite/internal/pageobj -count=1 -run "TestTheLockPageIsNowhere|TestFewRequests"

lint: ## Vet, formatting, and the rules of this repository
	$(GO) vet $(MODULES:%=./%/...)
	@unformatted=$$(gofmt -l $(MODULES)); test -z "$$unformatted" || { echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; }
	$(GO) run ./tools/house

bench: build ## Compare with the peers and write docs/benchmarks.md
	$(GO) run ./tools/bench -out docs/benchmarks.md

conformance: build ## Drive the server with real clients (needs those that .ci/run installs)
	$(GO) run ./tools/conformance -bop $(BIN)/bop

s3test: bin/versitygw ## Test logs in the bucket of a real S3 server
	$(GO) test ./tools/s3test -count=1 -server $(CURDIR)/bin/versitygw

coldtest: bin/versitygw bin/litestream ## Pages, log and backups in a real S3 server with faults, kills, and Litestream (KILLS=20)
	$(GO) test ./tools/coldtest -count=1 -timeout 30m -server $(CURDIR)/bin/versitygw -litestream $(CURDIR)/bin/litestream -kills $(or $(KILLS),20) -flips 10s -faults 10s

bin/litestream:
	CGO_ENABLED=0 GOBIN=$(CURDIR)/bin $(GO) install github.com/benbjohnson/litestream/cmd/litestream@v0.5.18

bin/versitygw:
	GOBIN=$(CURDIR)/bin $(GO) install github.com/versity/versitygw/cmd/versitygw@v1.8.0

simulate: ## Run simulated Raft clusters with thousands of seeds (SEEDS=400 of each kind)
	$(GO) test ./modules/raft/rafttest -count=1 -timeout 60m -seeds $(or $(SEEDS),400)

cluster: build ## Break three servers under load and check their histories (DURATION=2m SEED=1)
	$(GO) run ./tools/cluster -bop $(BIN)/bop -duration $(or $(DURATION),2m) -seed $(or $(SEED),1)

walkthrough: build ## Run the procedures of the documents as they are written
	for d in operations s3 encryption backup; do $(GO) run ./tools/walkthrough -bop $(BIN)/bop docs/$$d.md || exit 1; done

soak: build ## Kill a server 1,000 times, and break a cluster for 30 minutes, under load
	$(GO) run ./tools/killer -bop $(BIN)/bop -kills 1000
	$(GO) run ./tools/cluster -bop $(BIN)/bop -duration 30m -seed $(or $(SEED),1)
	$(GO) test ./tools/coldtest -count=1 -timeout 60m -kills 200 -faults 2m -flips 5m -large

fuzz: ## Fuzz each decoder for a while (FUZZTIME=1m)
	$(GO) run ./tools/fuzz -time $(or $(FUZZTIME),1m)

release-check: ## Build each module as an outside user's go get would
	$(GO) run ./tools/release check

tidy: ## Run go mod tidy in each module
	$(GO) run ./tools/release tidy

clean: ## Remove what was built
	rm -rf $(BIN)
