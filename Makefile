# Every verb does its own set-up: a machine with Python >= 3.11 and make is enough.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_VENV ?= .venv-demo
DEMO_STAMP := $(DEMO_VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
SECONDS ?= 20
DOCUMENTS ?= 50000
WORKERS ?= auto
VERSIONS ?= 3.11 3.12 3.13

.PHONY: help demo screenshots test cov check types bench bench-quick docs matrix newest fuzz soak chaos-controllers chaos-stale warm-kills lock clean

IS_NEW_ENOUGH = import sys; sys.version_info >= (3, 11) or sys.exit("aioinformers needs Python 3.11 or newer: make PYTHON=python3.12 ...")

help:  ## this list
	@echo "make VERB, and each verb makes the environment that it needs:"
	@sed -n 's/^\([a-z-]*\):.*  ## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r verb words; do printf '  %-12s %s\n' "$$verb" "$$words"; done

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c '$(IS_NEW_ENOUGH)'
	@echo "making the development environment in $(VENV): about 110 packages, once, a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

# What the package and its command line need, and nothing else; compiled when imported, as most of it never is.
$(DEMO_STAMP): requirements/cli.txt
	@$(PYTHON) -c '$(IS_NEW_ENOUGH)'
	@echo "making a small environment for the demonstration in $(DEMO_VENV), once"
	@$(PYTHON) -m venv $(DEMO_VENV)
	@echo "installing $$(grep -c == requirements/cli.txt) packages, a quarter of a minute or so"
	@$(DEMO_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
		-r requirements/cli.txt
	@touch $(DEMO_STAMP)

demo: $(DEMO_STAMP)  ## a small busy cluster in this process, and informers that follow it
	@echo "starting a cluster in this process, and informers that follow it"
	@$(DEMO_VENV)/bin/python -m aioinformers demo --seconds $(SECONDS)

test: $(STAMP)  ## the whole suite, on the embedded server and on a real kube-apiserver
	-@$(BIN)/python -m tests.kit.realserver  # builds the real server once; without Go its tests are skipped
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

cov: $(STAMP)  ## the lines that the tests on the embedded server run; fails below 95 %
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -q -n $(WORKERS) --dist worksteal -m "not realserver"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

check: $(STAMP) types  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python tools/generate_resources.py --check

types: $(STAMP)  ## types alone
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pyright typing_tests
	@echo "pyright --verifytypes: what it says is shown if it fails"
	@found=$$(PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pyright --ignoreexternal --verifytypes aioinformers 2>&1) \
		|| { echo "$$found"; exit 1; }

matrix: $(STAMP)  ## most unit and embedded-server tests on every supported Python that is installed
	$(BIN)/python tools/matrix.py $(VERSIONS)

newest: $(STAMP)  ## the same tests on the newest Python, 3.15 or 3.14, where it is installed
	$(BIN)/python tools/newest.py

fuzz: $(STAMP)  ## random documents, read in every way there is: make fuzz DOCUMENTS=50000
	$(BIN)/python -m tools.fuzz_models --documents $(DOCUMENTS)

soak: $(STAMP)  ## random histories, faults and consumers for as long as asked: make soak SECONDS=3600
	$(BIN)/python -m tools.soak --seconds $(SECONDS)

chaos-controllers: $(STAMP)  ## six minutes of faults and late watches on a real API server, judged by etcd
	$(BIN)/python -m tests.chaos.operator.drive faults
	$(BIN)/python -m tests.chaos.operator.drive duplicates

warm-kills: $(STAMP)  ## a program that stores its caches, killed at a hundred moments under load on a real API server
	AIOINFORMERS_REQUIRE_APISERVER=1 $(BIN)/python -m pytest -q tests/chaos/test_kills.py

chaos-stale: $(STAMP)  ## a hundred leaders killed right after a write, while the caches of their successors are late
	$(BIN)/python -m tests.chaos.operator.drive stale

$(BENCH_STAMP): requirements/bench.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/bench.txt
	touch $(BENCH_STAMP)

bench: $(BENCH_STAMP)  ## everything, beside client-go, kube-rs and others; writes benchmarks/results
	$(BIN)/python -m benchmarks

bench-quick: $(BENCH_STAMP)  ## a few minutes; fails if the budget is exceeded by more than the noise
	$(BIN)/python -m benchmarks quick

screenshots: $(STAMP)  ## the pictures of the status page in docs/images, taken by its tests; needs chromium
	AIOINFORMERS_SCREENSHOTS=1 AIOINFORMERS_REQUIRE_BROWSER=1 $(BIN)/python -m pytest -q tests/browser -k pictures

docs: $(STAMP)  ## these pages as HTML, in docs/_build/html
	$(BIN)/sphinx-build -W -b html docs docs/_build/html

lock: $(STAMP)  ## pin the newest versions that fit pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev --upgrade \
		--no-header pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra cli --constraint requirements/dev.txt \
		--no-header --no-annotate pyproject.toml -o requirements/cli.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.14 --extra fastapi --generate-hashes \
		--constraint requirements/dev.txt --no-header --no-annotate pyproject.toml requirements/deploy.in \
		-o requirements/deploy.txt

clean:  ## remove environments and what was built
	rm -rf $(VENV) .venv-* docs/_build dist .coverage*
