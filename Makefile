# Every target sets up what it needs first. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-flavors test-clients test-kubernetes test-conformance simulate soak mutants lint verify generate bench bench-server bench-operator clean

bin := .venv/bin
SEED ?= 1
DEMO_FLAGS := $(if $(KEEP),--keep,)
# Quick tiers first: a broken rule shows in seconds, before any process is started. Stories last and alone:
# they judge latencies.

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## the virtual environment, and Debian's prometheus where it may be installed
	@tools/setup

demo: ## the main job in the sandbox: version 2 promoted, version 3 taken back (KEEP=1: leave it up)
	@tools/setup
	@$(bin)/serinus sandbox demo $(DEMO_FLAGS)

test: ## every test; ARGS="..." goes to pytest
	@tools/setup test
	$(bin)/python -m pytest tests/unit tests/contract -n 2 --dist worksteal -q $(ARGS)
	@$(MAKE) --no-print-directory simulate
	$(bin)/python -m pytest tests/integration -n 2 --dist loadfile -q $(ARGS)
	$(bin)/python -m pytest tests/scenarios -q $(ARGS)

simulate: ## the real operator on virtual time: crash matrix, 10,000 faults, latency of a rollback (part of test)
	@tools/setup test
	$(bin)/python -m pytest tests/simulation -n 2 --dist worksteal -q $(ARGS)

test-flavors: ## models of PyTorch and TensorFlow, which get an environment of their own (2.3 GB)
	@tools/setup test
	@tools/flavors
	.venv-flavors/bin/python -m pytest tests/unit/server/runtimes/libraries/test_pytorch.py \
	  tests/unit/server/runtimes/libraries/test_tensorflow.py \
	  tests/unit/server/corpus/test_neural.py -n 2 --dist loadfile -q $(ARGS)

test-clients: ## Triton's own client with the server, from an environment of its own (190 MB)
	@tools/setup test
	@tools/clients
	$(bin)/python -m pytest tests/integration/server/conformance -q $(ARGS)

N ?= 1000000
soak: ## the simulation until N faults were injected, then the latency over 1,000 seeds; prints what happened
	@tools/setup test
	$(bin)/python -m tests.simulation --soak $(N) --seed $(SEED)
	$(bin)/python -m tests.simulation --latency 1000

test-kubernetes: ## operator, node and gateway on the Kubernetes that SERINUS_TEST_KUBECONFIG names
	@tools/setup test
	@test -n "$(SERINUS_TEST_KUBECONFIG)" || { echo "set SERINUS_TEST_KUBECONFIG to the kubeconfig of a cluster for tests"; exit 2; }
	$(bin)/python -m pytest tests/integration/kubernetes tests/integration/sandbox/test_pods.py \
	  tests/integration/sandbox/test_traffic.py -q $(ARGS)

test-conformance: ## the sandbox's API server compared with the one of SERINUS_TEST_KUBECONFIG, without controllers there
	@tools/setup test
	@test -n "$(SERINUS_TEST_KUBECONFIG)" || { echo "set SERINUS_TEST_KUBECONFIG to the kubeconfig of an API server for tests"; exit 2; }
	$(bin)/python -m pytest tests/integration/apiserver -m kubernetes -q $(ARGS)

mutants: ## bugs seeded into a copy of the operator: the simulation must notice each (ARGS="I4": some)
	@tools/setup test
	$(bin)/python -m tests.simulation.mutants $(ARGS)

lint: ## ruff, mypy --strict, import-linter
	@tools/setup
	$(bin)/ruff format --check operator server tests bench
	$(bin)/ruff check operator server tests bench
	$(bin)/mypy
	$(bin)/mypy -p bench
	$(bin)/lint-imports

generate: ## everything that is made from code: the CRD and the RBAC
	@tools/setup
	$(bin)/python -m serinus.devtools.generate .

verify: ## fails when `make generate` would change a file
	@tools/setup
	$(bin)/python -m serinus.devtools.verify

bench: ## the quick form of bench-server: two minutes, beside plain FastAPI and the limit only
	@tools/setup
	$(bin)/python -m bench --quick $(ARGS)

bench-server: ## the model server beside its peers, which it installs; ARGS="--docs docs/benchmarks.md" writes it down
	@tools/setup
	$(bin)/python -m bench $(ARGS)

bench-operator: ## what 100 and 1,000 resources cost the operator; ARGS="--docs docs/benchmarks.md" writes it down
	@tools/setup
	$(bin)/python -m bench.operator $(ARGS)

clean: ## removes what the other targets made in this folder
	rm -rf .venv .venv-flavors .venv-clients .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
