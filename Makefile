# Two commands: `make quickstart` and `make test`. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
REQUIREMENTS ?= requirements-lock.txt
QUICKSTART_WORKDIR ?= runs/quickstart
QUICKSTART_FLAGS ?=
BENCH_FLAGS ?=
# Without a GPU PyTorch's small CPU build is enough.
TORCH_FLAGS ?= $(if $(shell command -v nvidia-smi),,--extra-index-url https://download.pytorch.org/whl/cpu)

.PHONY: quickstart test test-all lint bench bench-gpu install clean

quickstart: $(VENV)/.installed
	$(BIN)/python -m repcon_jax --config configs/quickstart.py --workdir $(QUICKSTART_WORKDIR) $(QUICKSTART_FLAGS)

# What takes less than about five seconds, for every change; test-all is the rest too, and what CI runs.
test: $(VENV)/.installed lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: $(VENV)/.installed lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/.bench-installed
	$(BIN)/python -m benchmarks.run $(BENCH_FLAGS)

bench-gpu: $(VENV)/.bench-installed
	$(BIN)/python -c 'import jax; raise SystemExit(jax.default_backend() == "cpu" and "error: JAX finds no GPU here")'
	$(BIN)/python -m benchmarks.run $(BENCH_FLAGS)

$(VENV)/.bench-installed: $(VENV)/.installed requirements-bench.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt $(TORCH_FLAGS)
	touch $@

install: $(VENV)/.installed

$(VENV)/.installed: requirements-lock.txt requirements.txt requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer was found; install one or give PYTHON=..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
