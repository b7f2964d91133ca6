# Needs python3 (3.11 or newer), git and make; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
export MPLBACKEND = Agg
# The solvers run their own threads and work on thin matrices: a second BLAS thread only slows them.
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help run test test-all lab notebooks figures bench check clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: .venv/run.stamp ## the main job: theory against simulation, then real digits; writes figures/main.png
	$(BIN)/python -m sedyn run --output figures/main.png

test: .venv/all.stamp ## tests, doctests and notebooks
	$(BIN)/python -m pytest
	$(nbval)

test-all: .venv/all.stamp ## the same with the slow tests
	$(BIN)/python -m pytest -m "slow or not slow"
	$(nbval)

lab: .venv/all.stamp ## open the notebooks in JupyterLab
	env -u MPLBACKEND $(BIN)/python -m jupyterlab --notebook-dir=notebooks

# a progress bar that appears on a busy machine would be stored in the notebook
notebooks: export TQDM_DISABLE = 1
notebooks: .venv/all.stamp ## run every notebook from a fresh kernel and store its output
ifneq ($(NOTEBOOKS),)
	env -u MPLBACKEND $(BIN)/python -m nbconvert --to notebook --execute --inplace $(NOTEBOOKS)
else
	@echo "no notebooks"
endif

figures: .venv/run.stamp ## every figure at paper size, one per claim, and the gallery figures/README.md (13 minutes)
	$(BIN)/python -m sedyn run --output figures/main.png
	$(BIN)/python notebooks/claims.py figures

bench: .venv/run.stamp ## every timing, side by side: benchmarks/README.md and its figures (27 minutes)
	$(BIN)/python benchmarks

check: .venv/all.stamp ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean: ## remove caches and builds (.venv stays)
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage
	find . -path ./.venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -print0 | xargs -0 rm -rf

# Marked cells (# NBVAL_CHECK_OUTPUT) are compared with their stored output, all others must only run.
ifneq ($(NOTEBOOKS),)
nbval = $(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg $(NOTEBOOKS)
else
nbval = @echo "no notebooks to test"
endif

# What `make run` needs, and everything; each is redone when pyproject.toml changes.
.venv/run.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e ".[fast,progress,data]"
	@touch $@

.venv/all.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e ".[fast,progress,data,sweep,notebooks,test,dev]"
	@touch $@ .venv/run.stamp

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "sedyn needs Python 3.11 or newer, and there is no $(PYTHON): install it, or name another with make PYTHON=.."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sedyn needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another with make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
