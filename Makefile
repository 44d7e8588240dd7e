# What a newcomer needs: `make demo`, `make test`. Everything runs in .venv, made from the lock by the first target.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Three for two cores: tests of commands wait for a simulated server, which takes its time.
PYTEST := $(BIN)/pytest -n 3 --dist worksteal
COVERAGE := --cov --cov-report=term:skip-covered

# Asked for together, as CI does, the tests run once: all of them, by `test`, and with coverage.
TOGETHER := $(and $(filter check,$(MAKECMDGOALS)),$(filter test,$(MAKECMDGOALS)))

# Hundreds of tests start Python: none of them has to compile the program again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test coverage check compiled fuzz bench lock format eval-humaneval real clean
.DEFAULT_GOAL := demo

$(READY): requirements/dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $(READY)

demo: $(READY)  ## solve sample tasks on a sample repository with the simulated Ollama
	$(BIN)/corral demo

test: $(READY)  ## every test that needs no GPU
	bash tests/services.sh
	$(PYTEST) $(if $(TOGETHER),$(COVERAGE))

coverage: $(READY)  ## the same, and how much of the program they run: 90 % at least. Takes more than twice as long
	bash tests/services.sh
	$(PYTEST) $(COVERAGE)

check: $(READY)  ## format, lint, types, layers, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(if $(TOGETHER),,$(PYTEST) -m "not slow and not real")

fuzz: $(READY)  ## the property tests with new examples each time
	$(PYTEST) --hypothesis-profile=default -m "not real"

compiled: $(READY)  ## the pool's core as machine code: needs a C compiler, and nothing needs it. An edited module is never shadowed
	$(BIN)/python hatch_build.py

bench: $(READY)  ## the figures of docs/benchmarks.md
	$(BIN)/python -m benchmarks

eval-humaneval: $(READY)  ## 82 real problems through `corral run`; CORRAL_HUMANEVAL names the file
	$(BIN)/python -m benchmarks.humaneval

real: $(READY)  ## tests against a real server; CORRAL_TEST_OLLAMA names its address
	$(BIN)/pytest -m real -rs

lock:  ## pin anew (needs uv); the lock names no registry host
	uv pip compile pyproject.toml --group dev --extra fast --extra mcp --extra otel --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --upgrade -o requirements/dev.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header -c requirements/dev.lock -o requirements/run.lock

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) infrastructure/_compiled* .demo .eval .coverage* .pytest_cache .ruff_cache .hypothesis build dist
