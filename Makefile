# Everything here needs Go and make, nothing else, but for make e2e.
#   make run     build, start a simulated PowerMTA and the agent, show what happens
#   make test    run every test that needs nothing but Go
#   make e2e     run the tests against real servers; needs Java 17 and Maven too
GO      ?= go
TOOL    := $(GO) tool -modfile=tools.mod
RUN_DIR ?= run
RUN_FOR ?=
LDFLAGS := -s -w

.PHONY: all build run test e2e race fuzz lint generate generate-check cross bench clean
all: build

# Copied, as an installation does: what the linker has just written is in the
# page cache in large pieces, and the program would have 20 MB more resident.
build:
	@echo "building bin/otelcol-pmta and bin/pmtalog (a first build takes 2 to 7 minutes) ..."
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/new/ ./cmd/otelcol-pmta ./cmd/pmtalog
	@cp -f bin/new/* bin/ && rm -r bin/new

run: build
	@bin/pmtalog demo --agent bin/otelcol-pmta --config config/quickstart.yaml --dir '$(RUN_DIR)' $(if $(RUN_FOR),--for '$(RUN_FOR)')

test:
	@echo "running all tests; the first run compiles the agent too (2 to 7 minutes) ..."
	$(GO) test -timeout 20m ./...

# Without java or mvn the script ends with 3, which make reports as "Error 3".
e2e:
	@echo "starting a real Kafka and Elasticsearch; a first run fetches 110 MB with Maven ..."
	@GO='$(GO)' sh e2e/real.sh

# The packages in which goroutines meet.
RACE_PKGS := $(addprefix ./internal/,$(addsuffix /...,acctlogs attribution coverage dimension esbulk estemplate kafkaout ledger logslab mainlog \
	otlpjson privacy quarantine reconcile rulefile simulate smtpreply spool tail webhook webmon)) \
	./receiver/... ./processor/... ./exporter/...
race:
	@echo "running the race detector; a first run compiles everything again (some minutes) ..."
	$(GO) test -race -timeout 20m $(RACE_PKGS)

# Runs per parser, or a time such as 60s; CI counts, see internal/tools/fuzz.sh.
FUZZ_RUNS ?= 40000x
fuzz:
	@sh internal/tools/fuzz.sh $(FUZZ_RUNS)

lint:
	@echo "go vet and staticcheck; a first run takes some minutes ..."
	@test -z "$$(gofmt -l $$(git ls-files '*.go' ':!cmd/otelcol-pmta'))" || { gofmt -l $$(git ls-files '*.go' ':!cmd/otelcol-pmta'); echo "run gofmt -w on these files"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...

generate:
	@echo "generating cmd/otelcol-pmta, component metadata and docs ..."
	$(TOOL) builder --config builder-config.yaml --skip-compilation --skip-get-modules --skip-strict-versioning
	$(GO) generate ./...

generate-check: generate
	@git diff --exit-code -- . || { echo "generated files differ: run make generate and commit the result"; exit 1; }

# PowerMTA runs on Windows too; darwin is where people try things.
cross:
	@echo "vetting for windows/amd64 and darwin/arm64; a first run takes some minutes ..."
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) vet ./...
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/otelcol-pmta
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) vet ./...
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/otelcol-pmta

bench:
	@sh bench/run.sh

clean:
	rm -rf bin build $(RUN_DIR)
