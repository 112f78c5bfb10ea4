# The only door: `make help`. Needs python3 (3.10 or newer) with venv, and make; everything else is fetched with pip.

PYTHON ?= python3
BIN := .venv/bin
DEMO_FOLDER := .build/demo

# Environments; each has a stamp so that it is made once, and again when what it is made from has changed.
APP := .venv/.installed
DEV := .venv/.installed-for-development
CLICKHOUSE := .venv/.installed-clickhouse
LOWEST := .venvs/lowest/.installed
DECLARATIVE := .venvs/declarative/.installed
OTHERS := .venvs/others/.installed
DOCS := .venvs/docs/.installed
RELEASE := .venvs/release/.installed
# The machines of the collector's wheels, in Go's words; all when it is empty.
MACHINES ?=
# Without the theme's advertisement of its successor.
MKDOCS := NO_MKDOCS_2_WARNING=1 .venvs/docs/bin/mkdocs
# How many tests run at the same time: on two cores two that compute, and two that wait for servers most of their time. A file's
# tests stay in one process, which starts their servers once.
TEST_PROCESSES ?= 4
# Files begin in the order that tests/conftest.py gives them.
SIDE_BY_SIDE = --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
PIP_FLAGS := --quiet --disable-pip-version-check
# Without compiled files, each process that a test starts would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo environments test test-suite test-lowest test-declarative test-wheel test-apps test-bare test-fast lint format typecheck bench bench-scaling bench-server bench-export bench-imports bench-memory bench-spans bench-store bench-others bench-whole bench-pipeline bench-capacity collector wheels release-check pipeline docs docs-serve screenshots clean
# Parts of targets, for .ci/run and for one another.
.PHONY: test-suite-together test-suite-alone test-lowest-together test-lowest-alone test-small suite-environments

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(APP) ## Run the example shop and show what the embedded store knows of it; needs no server.
	@$(BIN)/python -m examples.shop.demo --folder $(DEMO_FOLDER)

test: ## Run test-suite, test-lowest, test-declarative and test-wheel; what holds a time by the clock is last, with nothing beside it.
	@$(MAKE) --no-print-directory --jobs=2 test-suite-together environments
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-lowest-together test-small
	@$(MAKE) --no-print-directory test-suite-alone
	@$(MAKE) --no-print-directory test-lowest-alone

suite-environments: $(DEV) $(DOCS)

environments: suite-environments $(LOWEST) $(DECLARATIVE) ## Make the environments that the tests run in.

test-suite: ## Run the suite and measure its coverage of lines and branches.
	@$(MAKE) --no-print-directory test-suite-together
	@$(MAKE) --no-print-directory test-suite-alone

SUITE_TESTS := --ignore=tests/packaging --ignore=tests/apps
test-suite-together: $(DEV) $(DOCS) $(if $(filter 1,$(REQUIRE_REAL)),$(CLICKHOUSE))
	@echo "== the suite, side by side"
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest $(SUITE_TESTS) $(SIDE_BY_SIDE) -m 'not alone'

test-suite-alone: $(DEV) $(DOCS)
	@echo "== the suite, alone"
	$(BIN)/coverage run -m pytest $(SUITE_TESTS) -m alone
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report $(if $(filter 1,$(REQUIRE_REAL)),,--fail-under=0)

test-lowest: ## Run unit and integration tests with the lowest supported versions of everything.
	@$(MAKE) --no-print-directory test-lowest-together
	@$(MAKE) --no-print-directory test-lowest-alone

# Old versions of others use what newer Pythons call deprecated; the suite with the newest finds what we use.
# What looks at our own code alone would find nothing more.
LOWEST_PYTEST := .venvs/lowest/bin/python -m pytest -W ignore::DeprecationWarning tests/unit tests/integration
test-lowest-together: $(LOWEST)
	@echo "== lowest supported versions, side by side"
	$(LOWEST_PYTEST) $(SIDE_BY_SIDE) -m 'not alone and not own'

test-lowest-alone: $(LOWEST)
	@echo "== lowest supported versions, alone"
	$(LOWEST_PYTEST) -m 'alone and not own'

# One after the other, beside something larger.
test-small:
	@$(MAKE) --no-print-directory test-declarative
	@$(MAKE) --no-print-directory test-wheel

test-declarative: $(DECLARATIVE) ## Test declarative configuration (OTEL_CONFIG_FILE), whose package is a pre-release.
	@echo "== declarative configuration"
	CHEST_DECLARATIVE=1 .venvs/declarative/bin/python -m pytest tests/integration/test_declarative.py

test-wheel: $(DEV) ## Build sdist and wheel, install the wheel in a fresh environment and use it there.
	@echo "== the wheel"
	$(BIN)/python -m pytest tests/packaging

test-apps: $(DEV) ## Run real applications under opentelemetry-instrument, all or APPS="httpbin dash"; no part of .ci/run.
	APPS="$(APPS)" $(BIN)/python -m pytest -p no:randomly tests/apps

test-bare: ## Run .ci/run in a bare Debian 12, then 13, which debootstrap makes; needs root, takes hours, no part of CI.
	tools/bare.sh $(SUITE)

test-fast: $(DEV) ## Run the unit tests that start no process and are quick, side by side.
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --hypothesis-profile fast -m 'not process and not slow and not alone and not real' tests/unit

lint: $(DEV) ## Check style, formatting and types; the guard in Go too, where Go is installed.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	collector-config/distribution/lint.sh

format: $(DEV) ## Format the code and sort its imports.
	$(BIN)/ruff check --fix --select I,RUF022
	$(BIN)/ruff format

typecheck: $(DEV) ## Check types alone.
	$(BIN)/mypy

bench: $(DEV) ## Measure what a request and a log line cost, beside hand-written instrumentation.
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.lines

bench-scaling: $(DEV) ## Measure how that cost grows with routes and variables.
	$(BIN)/python -m benchmarks.scaling

bench-server: $(DEV) ## Measure requests per second under gunicorn with four threads, also while the page is open.
	$(BIN)/python -m benchmarks.server
	$(BIN)/python -m benchmarks.server --page

bench-export: $(DEV) ## Measure what exporting a span costs, by exporter, compression and batch; needs the collector.
	$(BIN)/python -m benchmarks.export

bench-imports: $(DEV) ## Measure how long importing takes.
	$(BIN)/python -m benchmarks.imports

bench-others: $(OTHERS) ## Measure other products doing the same (logfire, sentry-sdk, ddtrace).
	.venvs/others/bin/python -m benchmarks.others

bench-whole: $(OTHERS) ## Measure what a request costs its process, export included, beside other products.
	.venvs/others/bin/python -m benchmarks.whole

bench-memory: $(DEV) ## Serve a million requests, half of them failing, and say whether resident memory stays flat.
	$(BIN)/python -m benchmarks.memory

bench-spans: $(DEV) ## Measure what a request pays for its record and its event, and a child span, beside the goals.
	$(BIN)/python -m benchmarks.child_spans

bench-store: $(DEV) ## Fill the embedded store to its bound, and measure what it takes to write, to read, and to do both.
	$(BIN)/python -m benchmarks.store

bench-pipeline: $(DEV) ## Measure the way to InfluxDB: requests/s, what the collector takes, how late an answer is.
	$(BIN)/python -m benchmarks.pipeline

bench-capacity: $(DEV) ## Hold the model of docs/explanation/scale.md against real servers; needs the collector, Kafka, InfluxDB.
	$(BIN)/python -m benchmarks.capacity

collector: ## Build the OpenTelemetry Collector with every component that collector-config/ uses; needs Go.
	collector-config/distribution/build.sh

wheels: ## Build the collector's wheels for five kinds of machines, into dist/; needs Go, and an hour the first time.
	$(PYTHON) packaging/collector/wheels.py $(MACHINES)

release-check: $(RELEASE) ## Make and try what a release consists of: packages, contents, SBOM, checksums; needs Go.
	.venvs/release/bin/python -m tools.release $(MACHINES)

pipeline: $(DEV) ## Send the shop's requests through the collector into a real InfluxDB and compare the figures.
	$(BIN)/python -m tests.backends.pipeline

docs: $(DEV) $(DOCS) ## Write the generated pages of the documentation again, and build it as a site, into site/.
	$(BIN)/python -m tools.reference
	@test -e docs/assets/page/overview.png || $(BIN)/python -m tools.screenshots
	$(MKDOCS) build --strict

screenshots: $(DEV) ## Take the pictures of the pages again, from the example shop; needs Debian's chromium.
	$(BIN)/python -m tools.screenshots

docs-serve: $(DOCS) ## Show the documentation on http://127.0.0.1:8000, built anew with each change.
	$(MKDOCS) serve

clean: ## Remove what was built here, environments included; what build scripts keep in the user's cache stays.
	rm -rf .build .venv .venvs site dist build htmlcov .coverage .coverage.* .hypothesis .pytest_cache .ruff_cache .mypy_cache

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed: make PYTHON=/path/to/python3.x …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "Python's venv is missing. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "making the environment .venv"
	@$(PYTHON) -m venv .venv

$(APP): pyproject.toml | .venv/bin/pip
	@echo "installing flask_chest_otel and what it needs into .venv"
	@$(BIN)/pip install $(PIP_FLAGS) --editable .
	@touch $@

# Dependency groups need pip 25.1.
$(DEV): $(APP)
	@echo "installing what development needs into .venv"
	@$(BIN)/pip install $(PIP_FLAGS) --upgrade 'pip>=25.1'
	@$(BIN)/pip install $(PIP_FLAGS) --group test --group lint
	@$(BIN)/pip install $(PIP_FLAGS) --group uwsgi || \
	  echo "uWSGI could not be built, its tests will say so. On Debian: apt-get install gcc python3-dev"
	@touch $@

# Large, so only where no test may be skipped.
$(CLICKHOUSE): $(DEV)
	@echo "installing ClickHouse's engine into .venv"
	@$(BIN)/pip install $(PIP_FLAGS) --group clickhouse
	@touch $@

.venvs/%/bin/pip: | .venv/bin/pip
	@echo "making the environment .venvs/$*"
	@$(PYTHON) -m venv .venvs/$*
	@$@ install $(PIP_FLAGS) --upgrade 'pip>=25.1'

$(LOWEST): pyproject.toml tests/packaging/lowest.txt | .venvs/lowest/bin/pip
	@.venvs/lowest/bin/pip install $(PIP_FLAGS) --constraint tests/packaging/lowest.txt --editable . --group test
	@touch $@

$(DOCS): pyproject.toml | .venvs/docs/bin/pip
	@.venvs/docs/bin/pip install $(PIP_FLAGS) --group docs
	@touch $@

$(RELEASE): pyproject.toml | .venvs/release/bin/pip
	@.venvs/release/bin/pip install $(PIP_FLAGS) --group release
	@touch $@

$(OTHERS): pyproject.toml | .venvs/others/bin/pip
	@.venvs/others/bin/pip install $(PIP_FLAGS) --editable '.[auto]' logfire sentry-sdk ddtrace prometheus-flask-exporter Flask-MonitoringDashboard
	@touch $@

$(DECLARATIVE): pyproject.toml | .venvs/declarative/bin/pip
	@.venvs/declarative/bin/pip install $(PIP_FLAGS) --upgrade 'opentelemetry-configuration>=0.65b0' --editable . --group test
	@touch $@
