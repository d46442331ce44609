# Everything builds without a C compiler; the race detector alone needs one.
export CGO_ENABLED := 0

GO       ?= go
FUZZTIME ?= 10000x
TIMEOUT  ?= 14m
RACE     ?= ./...
FUZZ     ?= ./...
BIN      := $(CURDIR)/bin
# Between them: macOS, Windows and arm64.
CROSS    := darwin/arm64 windows/amd64

# How long the tests go on, and where they count what they tried.
test-nightly: export EVENTSTREAM_LANE := nightly
test-nightly: TIMEOUT := 3h
test-weekly: export EVENTSTREAM_LANE := weekly
test-weekly: TIMEOUT := 12h

# make check has all of vet.
define CAMPAIGN
@mkdir -p $(BIN) && rm -f $(BIN)/counts
EVENTSTREAM_COUNTS=$(BIN)/counts $(GO) test -vet=off -shuffle=on -timeout=$(TIMEOUT) ./...
@$(GO) run ./internal/campaign/report $(BIN)/counts
endef

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run the main job end to end on generated data.
	$(GO) run ./cmd/eventstream demo

.PHONY: build
build: ## Build bin/eventstream.
	$(GO) build -trimpath -o $(BIN)/ ./cmd/...

.PHONY: test
test: ## Run all tests, in random order, and count what they tried.
	$(CAMPAIGN)

.PHONY: test-nightly
test-nightly: ## Run all tests for about an hour: more points, damages, kills and histories.
	$(CAMPAIGN)

.PHONY: test-weekly
test-weekly: ## Run all tests for hours, with a soak on the real disk.
	$(CAMPAIGN)

.PHONY: cases
cases: ## List what may happen to a store, and the tests of each case, by lane.
	@for lane in pr nightly weekly; do $(GO) run ./internal/campaign/cases -lane $$lane || exit 1; done

.PHONY: mutate
mutate: ## Break named lines, one at a time, and demand that the tests see it.
	$(GO) run ./internal/campaign/mutate

.PHONY: race
race: ## Run the shorter tests under the race detector (needs a C compiler).
	CGO_ENABLED=1 $(GO) test -race -vet=off -short -shuffle=on -timeout=$(TIMEOUT) $(RACE)

# go test lists the targets of a package before its "ok" line. Inputs are counted, not
# timed: a time that runs out while an input is being minimized counts as a failure.
.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME, 10000x (inputs) by default; a duration works too.
	@set -e; list=$$($(GO) test -list '^Fuzz' $(FUZZ)); \
	echo "$$list" | awk '/^Fuzz/ { t[++n] = $$1 } /^ok/ { for (i = 1; i <= n; i++) print $$2, t[i]; n = 0 }' \
	| while read -r package target; do \
		echo "== $$package $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1000x "$$package" < /dev/null; \
	done

.PHONY: bench
bench: ## Measure the store against raw Pebble.
	$(GO) run ./cmd/eventstream bench

.PHONY: check
check: lint cross ## Check format, code, go.mod and the builds for other systems.
	$(GO) mod tidy -diff
	$(GO) mod verify

.PHONY: lint
lint: tools ## Check format and code.
	@files=$$($(BIN)/gofumpt -l .); if [ -n "$$files" ]; then echo "gofumpt -w these files:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(BIN)/staticcheck ./...
	$(BIN)/errcheck -ignoretests -exclude .errcheck ./...
	$(GO) test -count=1 ./internal/lint

# Whether it compiles does not depend on how well, and this takes two thirds of the time.
.PHONY: cross
cross:
	@for target in $(CROSS); do \
		echo "build for $$target"; \
		GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -gcflags='all=-N -l' -o /dev/null ./... || exit 1; \
	done

.PHONY: tools
tools: $(BIN)/.tools ## Build the pinned developer tools into bin/.

$(BIN)/.tools: tools/go.mod tools/go.sum
	cd tools && GOWORK=off GOBIN=$(BIN) $(GO) install tool
	@touch $@
