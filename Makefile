# Basalt: build, test, demo. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export CGO_ENABLED ?= 1

BUILD      := $(CURDIR)/build
BIN        := $(BUILD)/bin
LIB        := $(BUILD)/lib
FAKEGPU    := $(BUILD)/fakegpu
BENCH      := $(BUILD)/bench
STATICCHECK = go tool -modfile=hack/tools/go.mod staticcheck
CLUSTER    := $(BIN)/basalt-cluster
NETNS      := /run/netns/basalt-k8s
# Everything that is tested without a cluster; the end-to-end suite has a target of its own.
UNIT_PKGS   = $(shell go list ./... | grep -v /test/e2e)

.PHONY: help
help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

## --- build ---------------------------------------------------------------------------------------------------------

.PHONY: build
build: limiter scheduler device-plugin ## Build the limiter and all binaries into build/.

.PHONY: limiter
limiter: ## Build the in-container limiter, build/lib/libvgpu.so.
	@$(MAKE) --no-print-directory -C hamicore OUT=$(LIB)

.PHONY: scheduler device-plugin
scheduler: ## Build build/bin/basalt-scheduler (cold: about 4 minutes on 2 cores).
	@hack/step "basalt-scheduler" "about 4 minutes cold" env CGO_ENABLED=0 go build -trimpath -o $(BIN)/basalt-scheduler ./cmd/basalt-scheduler

device-plugin: ## Build build/bin/basalt-device-plugin.
	@hack/step "basalt-device-plugin" "about 1 minute cold" go build -trimpath -o $(BIN)/basalt-device-plugin ./cmd/basalt-device-plugin

.PHONY: fakegpu
fakegpu: ## Build the fake NVIDIA driver and the CUDA test program.
	@$(MAKE) --no-print-directory -C test/fakegpu OUT=$(FAKEGPU)

.PHONY: cluster-tool
cluster-tool:
	@hack/step "basalt-cluster" "about 1 minute cold" env CGO_ENABLED=0 go build -trimpath -o $(CLUSTER) ./test/cluster/cmd/basalt-cluster

## --- demo ----------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: ## Start the embedded cluster, submit examples/vcjob-vgpu.yaml, show the result.
	@hack/as-root demo || exit 0; set -e; \
	$(MAKE) --no-print-directory prerequisites build fakegpu cluster-tool; \
	$(CLUSTER) demo

.PHONY: demo-down
demo-down: cluster-tool ## Stop the embedded cluster and remove its state.
	@$(CLUSTER) down

.PHONY: prerequisites
prerequisites: ## Install the Debian packages that the cluster and the C tests need.
	@test/cluster/prerequisites.sh

## --- test ----------------------------------------------------------------------------------------------------------

.PHONY: test
test: test-unit test-c test-e2e ## Run every test that needs no GPU, then the end-to-end suite on the embedded cluster.

.PHONY: test-unit
test-unit: limiter fakegpu ## Run the Go tests that need no cluster.
	go test -timeout 20m $(UNIT_PKGS)

.PHONY: test-c
test-c: ## Run the C tests of the limiter and of the fake driver.
	@$(MAKE) --no-print-directory -C test/fakegpu OUT=$(FAKEGPU) test
	@$(MAKE) --no-print-directory -C hamicore OUT=$(LIB) FAKEGPU=$(FAKEGPU) check-abi test

.PHONY: test-e2e
test-e2e: ## Run the end-to-end suite on the embedded cluster (root).
	@hack/as-root "the end-to-end suite" || exit 0; set -e; \
	$(MAKE) --no-print-directory prerequisites build fakegpu cluster-tool; \
	hack/step "e2e.test" "about 1 minute cold" go test -c -o $(BIN)/e2e.test ./test/e2e; \
	trap '$(CLUSTER) down' EXIT; \
	$(CLUSTER) up; \
	BASALT_E2E=1 nsenter --net=$(NETNS) $(BIN)/e2e.test -test.timeout 40m -ginkgo.v -ginkgo.no-color $(E2E_FLAGS)

## --- bench ---------------------------------------------------------------------------------------------------------

# Where the traces are that some benchmarks replay.
BENCH_DATA ?= ../shared/data

.PHONY: bench bench-core bench-gang bench-packing bench-philly bench-sched bench-preempt bench-limiter
bench: bench-core bench-gang bench-sched bench-preempt bench-limiter $(if $(wildcard $(BENCH_DATA)/openb-gpu-v2023),bench-packing) ## Run the benchmarks (packing where its trace is); figures are JSON lines, also in build/bench/.

bench-core: ## Benchmark fit and ledger.
	@mkdir -p $(BENCH)
	@go run ./test/bench/core -out $(BENCH)/core.jsonl

bench-gang: ## Benchmark the gang planner.
	@mkdir -p $(BENCH)
	@go run ./test/bench/gang -out $(BENCH)/gang.jsonl

bench-packing: ## Replay the openb trace in $(BENCH_DATA) with our policy and with published ones.
	@mkdir -p $(BENCH)
	@go run ./test/bench/packing -data $(BENCH_DATA) -out $(BENCH)/packing.jsonl $(PACKING_FLAGS)

bench-philly: ## Replay the gangs of the Philly traces in $(BENCH_DATA).
	@mkdir -p $(BENCH)
	@go run ./test/bench/philly -data $(BENCH_DATA) -out $(BENCH)/philly.jsonl

bench-sched: ## Benchmark scheduling sessions beside Volcano's own plugin (about 8 minutes; SCHED_FLAGS=-quick shows that it works).
	@go run ./test/bench/sched -out $(BENCH)/sched.jsonl $(SCHED_FLAGS)

bench-preempt: ## Benchmark preemption: a gang of 64 on 1,000 full nodes (about 1 minute).
	@mkdir -p $(BENCH)
	@go test -run '^$$' -bench . -benchtime 1x ./test/bench/preempt -out $(BENCH)/preempt.jsonl >$(BENCH)/preempt.log 2>&1 || { tail -40 $(BENCH)/preempt.log; exit 1; }
	@cat $(BENCH)/preempt.jsonl

bench-limiter: limiter fakegpu ## Benchmark the limiter over the fake driver.
	@mkdir -p $(BENCH)
	@$(MAKE) --no-print-directory -C hamicore OUT=$(LIB) FAKEGPU=$(FAKEGPU) BENCH_OUT=$(BENCH)/limiter.jsonl bench

## --- verify --------------------------------------------------------------------------------------------------------

.PHONY: verify
verify: verify-format verify-vet verify-race verify-c ## Format, vet, staticcheck, race detector, C sanitizers.

.PHONY: verify-format
verify-format:
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt: $$out"; exit 1; }
	@clang-format --dry-run --Werror $$(git ls-files '*.c' '*.h')

.PHONY: verify-vet
verify-vet:
	go vet ./...
	$(STATICCHECK) ./...

.PHONY: verify-race
verify-race: limiter fakegpu
	go test -race -timeout 30m $(UNIT_PKGS)

.PHONY: verify-c
verify-c:
	@$(MAKE) --no-print-directory -C test/fakegpu OUT=$(FAKEGPU) test-asan
	@$(MAKE) --no-print-directory -C hamicore OUT=$(LIB) FAKEGPU=$(FAKEGPU) check-abi test-asan test-tsan

.PHONY: clean
clean: ## Remove build output (the user's cache of cluster binaries stays).
	rm -rf $(BUILD)
