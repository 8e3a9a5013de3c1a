# Every target does its own set-up: a virtual environment from pinned and hashed wheels, and, where they are needed,
# binaries built from pinned Go modules into a cache outside the checkout.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

# `make run CLUSTER=real` shows the journey on a real Kubernetes control plane.
CLUSTER ?= simulated
WORKERS ?= 2
ARGS ?=

.PHONY: help run test test-cluster test-mesh lint format bench suite mutation proto schemas catalogue manifests lock setup binaries monitoring clean

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

$(READY): requirements.lock pyproject.toml common/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned dependencies into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e ./common -e .
	@touch $@

setup: $(READY) ## Make the virtual environment

run: $(READY) ## Run all services on an embedded NATS and watch an upgrade; CLUSTER=real for a real API server
	@$(BIN)/python -m services --demo=$(CLUSTER) $(ARGS)

test: $(READY) monitoring ## Run the fast tests: real NATS, Prometheus and Alertmanager, a fake Kubernetes API, a simulated mesh
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not cluster and not mesh" $(ARGS)

test-cluster: $(READY) binaries ## Run the tests that need a real Kubernetes control plane
	@$(BIN)/python -m pytest -m cluster -o timeout=1800 $(ARGS)

test-mesh: $(READY) ## Exercise a real mesh: STEWARD_MESH_KUBECONFIG, STEWARD_IMAGE, STEWARD_MESH_NATS name its parts
	@$(BIN)/python -m pytest -m mesh $(ARGS)

binaries: $(READY) ## Build etcd, the API server, helm and the rest into the cache, where they are missing
	@$(BIN)/python -m steward.testing.cluster build

monitoring: $(READY) ## Build Prometheus and Alertmanager into the cache, where they are missing and there is Go
	@$(BIN)/python -m steward.testing.monitoring build --where-possible

lint: $(READY) ## Format, lint, types, architecture, generated files
	@$(BIN)/ruff format --check --quiet . || { echo "run \`make format\`"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@echo "lint: all good"

format: $(READY) ## Format the sources and mend what can be mended
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

bench: $(READY) ## Measure against peers; prints a table, and JSON into $$BENCH_JSON
	@$(BIN)/python -m tests.bench $(ARGS)

suite: $(READY) ## Run the default conformance suite on the simulated mesh, once or for a while, and say what it took
	@$(BIN)/python -m tests.suite $(ARGS)

proto: $(READY) ## Write the message classes of the APIs of Linkerd, viz and OpenTelemetry from our .proto files
	@cd common && ../$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. steward/*/*.proto

mutation: $(READY) ## Break each feature in the simulation and see whether its probe says so, and why
	@$(BIN)/python -m tests.mutation $(ARGS)

schemas: $(READY) ## Write the published schemas of the events
	@$(BIN)/python -m steward.events.schemas
	@$(BIN)/python -m steward.testing.events tests/contracts/events/yesterday

catalogue: $(READY) ## Write what the command line knows of the features that can be exercised
	@$(BIN)/python -m services.conformance.catalogue

manifests: $(READY) ## Write the custom resource definitions and what `linkerd-steward install` prints
	@$(BIN)/python -m steward.resources.definitions deploy/crds
	@$(BIN)/python -m tests.deploy.render

lock: ## Pin the newest allowed versions, with hashes and without hosts
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv lock --quiet --upgrade
	@$(BIN)/uv export --quiet --no-emit-workspace --no-header --all-groups -o requirements.lock
	@$(BIN)/uv export --quiet --no-emit-workspace --no-header --no-dev --extra image -o deploy/requirements.lock
	@rm -f uv.lock

clean: ## Remove what was made inside the checkout
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
