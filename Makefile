# Every target sets up what it needs: Python 3.11 or newer, make and a C compiler are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready-$(shell cat .ci/requirements-dev.lock pyproject.toml | cksum | cut -d' ' -f1)
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
PIP_COMPILE := pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

.PHONY: help setup check oidc browser test demo sim compiled fuzz soak bench lock clean
.DEFAULT_GOAL := help

help: ## this text
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## a virtual environment in .venv with pinned and hashed packages

$(STAMP): .ci/requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "AetherFS needs Python 3.11 or newer: name one, as in make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); } || \
	  { rm -rf $(VENV); echo "this Python makes no virtual environments: install its venv module (Debian: python3-venv)"; exit 1; }
	@echo "setting up $(VENV)"
	@$(PIP) install --require-hashes -r .ci/requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --no-index -e .
	@rm -f $(VENV)/.ready-*
	@touch $@

check: setup ## formatting, lint, types, layers and house rules
	@$(BIN)/python -m tests.house

# The OpenID Connect server that tests sign in at; where there is no npm they are skipped, by name.
OIDC := $(VENV)/oidc
$(OIDC)/.ready-$(shell cat tests/oidc/package-lock.json | cksum | cut -d' ' -f1): tests/oidc/package-lock.json | $(STAMP)
	@rm -rf $(OIDC) && mkdir -p $(OIDC) && cp tests/oidc/package.json tests/oidc/package-lock.json $(OIDC)
	@if command -v npm >/dev/null; then npm ci --prefix $(OIDC) --silent --no-audit --no-fund --ignore-scripts; \
	  else echo "there is no npm: what is tested with a real OpenID Connect server is skipped"; fi
	@touch $@

oidc: $(OIDC)/.ready-$(shell cat tests/oidc/package-lock.json | cksum | cut -d' ' -f1)

# What drives the dashboard in tests: Debian's Chromium, and axe-core. What is not there is skipped, by name.
BROWSER := $(VENV)/browser
BROWSER_STAMP := $(BROWSER)/.ready-$(shell cat tests/browser/package-lock.json | cksum | cut -d' ' -f1)
$(BROWSER_STAMP): tests/browser/package-lock.json | $(STAMP)
	@rm -rf $(BROWSER) && mkdir -p $(BROWSER) && cp tests/browser/package.json tests/browser/package-lock.json $(BROWSER)
	@if command -v npm >/dev/null; then npm ci --prefix $(BROWSER) --silent --no-audit --no-fund --ignore-scripts; \
	  else echo "there is no npm: barriers in the dashboard's pages are not looked for"; fi
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || \
	  echo "there is no Chromium, and apt-get cannot install it here: the dashboard's tests are skipped"
	@touch $@

browser: $(BROWSER_STAMP) ## what tests of the dashboard need: Chromium (by apt-get, as root) and axe-core (npm)

# Half of the time tests wait, for processes and for what is due in a second: so three at a time on two cores. Whole
# modules go to one process, which shares its swarm among them, in the order of the folders, which has the long ones first.
SPREAD := -n 3 --dist loadscope --no-loadscope-reorder
test: check oidc browser ## everything that check does, then all tests
	@$(BIN)/python -m pytest $(SPREAD)

demo: setup ## a swarm of processes on this machine, shown at work
	@$(BIN)/aetherfs demo

SEEDS ?= 500
sim: setup ## some thousands of simulated swarms over all scenarios; stops at the first that breaks
	@for scenario in plain mixed lossy slow silent sites partition churn only-holder-slow slow-neighbour-holds-all \
	  no-tracker freeriders news news-no-tracker; do \
	  echo "$$scenario: $(SEEDS) seeds"; \
	  $(BIN)/python -m swarm.sim --scenario $$scenario --peers 12 --blocks 32 --seed 1000 --runs $(SEEDS) --stop \
	    > /dev/null || exit 1; \
	done

COMPILED := build/compiled
CORES := $(addprefix swarm/sim/,links.py clock.py peer.py swarm.py) $(addprefix swarm/peer/,scheduler.py blocks.py picker.py \
  neighbour.py overtaking.py spared.py window.py telling.py uploads.py slots.py redirect.py origins.py site.py far.py \
  instructions.py standby.py)
compiled: setup ## a copy in build/compiled with simulator and cores compiled by mypyc: run -m swarm.sim in there
	@rm -rf $(COMPILED) && mkdir -p $(COMPILED) && cp -r swarm pyproject.toml $(COMPILED)
	@cd $(COMPILED) && $(abspath $(BIN))/mypyc $(CORES) > mypyc.log 2>&1 || { tail -20 mypyc.log; exit 1; }

EXAMPLES ?= 20000
PROPERTY_EXAMPLES ?= 1000
FUZZ_S ?= 600
KILL_ROUNDS ?= 10
RACE_ROUNDS ?= 20
RACE_MOVES ?= 200
WEATHER_ROUNDS ?= 30
GC_ROUNDS ?= 200
DOCUMENT_EXAMPLES ?= 200
SUBSCRIBE_ROUNDS ?= 100
READS ?= 1000
fuzz: setup ## bytes near good ones to every decoder, ten minutes each (FUZZ_S=600)
	@$(BIN)/python -m tests.property.fuzz --seconds $(FUZZ_S)

soak: sim fuzz ## the long rounds: simulated swarms, bytes that strangers may send, kills of pulls, races for tags, bad weather, gc
	@EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n 2 --timeout 3600 --hypothesis-profile soak \
	  tests/property/test_mutations.py tests/property/test_log_bytes.py tests/property/test_dht_wire.py \
	  tests/property/test_neighbour_machines.py tests/unit/test_hello.py -k "not TestMesh and not TestGossip"
	@EXAMPLES=$(PROPERTY_EXAMPLES) $(BIN)/python -m pytest -n 2 --timeout 3600 --hypothesis-profile soak \
	  -m hypothesis tests/unit tests/property tests/contract
	@DOCUMENT_EXAMPLES=$(DOCUMENT_EXAMPLES) $(BIN)/python -m pytest -n 2 --timeout 3600 tests/integration/test_documents.py
	@KILL_ROUNDS=$(KILL_ROUNDS) $(BIN)/python -m pytest -n 2 --timeout 3600 tests/integration/test_killed_pulls.py \
	  tests/e2e/test_kill_rounds.py
	@RACE_ROUNDS=$(RACE_ROUNDS) RACE_MOVES=$(RACE_MOVES) $(BIN)/python -m pytest -n 2 --timeout 3600 \
	  tests/integration/test_racing.py tests/e2e/test_racing_processes.py
	@WEATHER_ROUNDS=$(WEATHER_ROUNDS) $(BIN)/python -m pytest -n 2 --timeout 600 tests/integration/test_bad_weather.py
	@SUBSCRIBE_ROUNDS=$(SUBSCRIBE_ROUNDS) $(BIN)/python -m pytest --timeout 3600 tests/e2e/test_subscribed_kills.py
	@GC_ROUNDS=$(GC_ROUNDS) $(BIN)/python -m pytest -n 2 --timeout 3600 tests/model
	@READS=$(READS) $(BIN)/python -m pytest --timeout 600 tests/integration/test_random_reads.py

bench: setup ## loopback pulls beside nginx+curl over TLS, libtorrent and syncthing
	@$(BIN)/python -m bench pair

lock: ## the lock files anew, from pyproject.toml (with pip-compile of pip-tools)
	$(PIP_COMPILE) --output-file .ci/requirements.lock pyproject.toml
	$(PIP_COMPILE) --extra dev --output-file .ci/requirements-dev.lock pyproject.toml
	echo setuptools | $(PIP_COMPILE) --output-file .ci/requirements-build.lock -

clean: ## remove what setup and the tests made
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find swarm seed tests bench -name __pycache__ -prune -exec rm -rf {} +
