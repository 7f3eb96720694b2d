# One command per job; see CONTRIBUTING.md. `make venv PYTHON=python3.12` takes another interpreter.
# On Linux pip installs torch with CUDA. A machine without a GPU saves several gigabytes with
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make venv
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SWEEP := sweeps/quickstart.py
REPORT := $(or $(JETSCALE_HOME),runs)/quickstart/report.html
export RAY_USAGE_STATS_ENABLED = 0
export MLFLOW_DISABLE_TELEMETRY = true
# Without compiled files every process that a test starts compiles 70,000 lines again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv demo docs lint check slow test long hosts gpu

help:
	@echo "make venv    environment in .venv, with every extra but cloud"
	@echo "make demo    the quickstart study: simulate, train, fit, allocate, report"
	@echo "make docs    the documentation, its tutorials run: docs/_build/index.html"
	@echo "make check   format, lint, types, quick unit tests"
	@echo "make test    the same, then slower unit tests and those of real Ray, MLflow and Pythia"
	@echo "make long    tests of more than some seconds: sweeps that are killed, coverage of intervals"
	@echo "make hosts   launches on emulated hosts, half an hour: root on Linux"
	@echo "make gpu     tests and speed on a GPU, ten minutes; says so where there is none"

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: make venv PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Installing into .venv: 2.3 GB with CPU PyTorch, several minutes"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[simulate,formats,measure,export,docs,dev]'
	@# a reference of tests: its model needs torch alone, the rest of it numba, PyTables and TensorBoard
	@$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps weaver-core
	@touch $@

demo: venv
	$(BIN)/jetscale run $(SWEEP)
	$(BIN)/jetscale fit $(SWEEP)
	$(BIN)/jetscale allocate $(SWEEP) --budget 1e11
	$(BIN)/jetscale report $(SWEEP) --out $(REPORT)
	@echo
	@echo "Report:  $(abspath $(REPORT))"
	@echo "MLflow:  $(BIN)/jetscale ui, then open the address it prints"

docs: venv
	$(BIN)/python -m sphinx -W --keep-going -j auto docs docs/_build

lint: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint
	$(BIN)/python -m pytest -m "not (slow or integration or long)" -n auto --dist loadfile

slow: venv
	$(BIN)/python -m pytest -m "slow and not (integration or long)" -n auto --dist loadfile

# What starts Ray, MLflow or Pythia starts several processes by itself: two tests at a time.
test: check slow
	JETSCALE_TEST_HOSTS=0 $(BIN)/python -m pytest -m "integration and not long" -n 2 --dist loadfile

# OF="and integration" or OF="and not integration": those with or without Ray, MLflow and Pythia
long: venv
	JETSCALE_TEST_HOSTS=0 $(BIN)/python -m pytest -m "long $(OF)" -n 2 --dist loadfile

# A cache of its own: other tests may be run at the same time.
hosts: venv
	JETSCALE_TEST_HOSTS=1 $(BIN)/python -m pytest -o cache_dir=.pytest_cache/hosts $(FAILED) \
	  tests/cluster/test_two_hosts.py tests/cluster/test_two_jobs.py tests/faults/test_nodes.py

gpu: venv
	$(BIN)/python -m pytest -m gpu
	$(BIN)/python benchmarks/gpu.py
