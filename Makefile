# `make demo`, `make check` and `make test` make their own environment in .venv first.
PYTHON ?= python3
BIN := .venv/bin
# A worker for each processor, but no more than four: PostgreSQL has a hundred connections for all of them.
AT_ONCE := -n logical --maxprocesses 4 --dist worksteal
PYTEST := $(BIN)/python -m pytest $(AT_ONCE)

.PHONY: demo check test style lowest frameworks frameworks-lowest upstream format clean
.DELETE_ON_ERROR:

demo: .venv/installed ## the main job, end to end, with the simulated model
	$(BIN)/python -m examples.banking.demo

check: style ## after each change, in less than a minute: style, types, and the tests that need neither a process nor a server
	$(PYTEST) -q -m "not process and not server and not postgres"

test: style ## everything that has to pass: style, types, all tests
	$(PYTEST)

style: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lowest: .venv-lowest/installed ## the adapters' tests with the lowest versions of the frameworks
	.venv-lowest/bin/python -m pytest tests/test_adapters.py tests/test_dropin.py tests/test_silent.py tests/test_langchain.py \
	  tests/test_bare_clients.py tests/test_client_calls.py tests/test_client_disturb.py tests/test_client_models.py

frameworks: .venv-adk/installed .venv-crewai/installed ## the adapters of frameworks that do not fit into one environment with the others
	.venv-adk/bin/python -m pytest $(AT_ONCE) tests/test_google_adk.py
	.venv-crewai/bin/python -m pytest $(AT_ONCE) tests/test_crewai.py

frameworks-lowest: .venv-adk-lowest/installed .venv-crewai-lowest/installed ## the same with the lowest versions
	.venv-adk-lowest/bin/python -m pytest $(AT_ONCE) tests/test_google_adk.py
	.venv-crewai-lowest/bin/python -m pytest $(AT_ONCE) tests/test_crewai.py

upstream: ## langchain-core's own tests with our adapter recording; left out: one that counts handlers, and a file that measures time
	tests/upstream/run.sh langchain-core recording tests/unit_tests \
	  --deselect tests/unit_tests/runnables/test_config.py::test_merge_config_callbacks \
	  --deselect tests/unit_tests/tracers/test_memory_stream.py

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-lowest .venv-adk .venv-crewai .venv-adk-lowest .venv-crewai-lowest .upstream .demo demo-report.json

# uv where it exists, since it is faster; else venv and pip.
.venv/installed: pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python '>=3.11,<3.14' .venv && \
	  uv pip install --quiet --python $(BIN)/python -e '.[dev]'; \
	else \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")' && \
	  $(PYTHON) -m venv .venv && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'; \
	fi
	@touch $@

.venv-lowest/installed: pyproject.toml tests/lowest.txt
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python '>=3.11,<3.14' .venv-lowest && \
	  uv pip install --quiet --python .venv-lowest/bin/python -e '.[cli,jinja,schemas]' -r tests/lowest.txt; \
	else \
	  $(PYTHON) -m venv .venv-lowest && \
	  .venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -e '.[cli,jinja,schemas]' -r tests/lowest.txt; \
	fi
	@touch $@

# An environment for each framework, from the list of its name in tests/frameworks.
.venv-%/installed: pyproject.toml tests/frameworks/%.txt
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python '>=3.11,<3.14' .venv-$* && \
	  uv pip install --quiet --python .venv-$*/bin/python -e . -r tests/frameworks/$*.txt; \
	else \
	  $(PYTHON) -m venv .venv-$* && \
	  .venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -e . -r tests/frameworks/$*.txt; \
	fi
	@touch $@
