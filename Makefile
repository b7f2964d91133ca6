# Needs python3 (3.11 or newer), git and make; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
NOTEBOOKS := $(wildcard notebooks/*.ipynb notebooks/topics/*.ipynb)
export MPLBACKEND = Agg

.DEFAULT_GOAL := help
.PHONY: help run fast test test-all browser lab notebooks assignments grade lite figures bench site check dist clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: .venv/run.stamp ## the main job: theory against simulation, then real digits; writes figures/main.png
	$(BIN)/python -m sedyn run --output figures/main.png

fast: .venv/all.stamp ## the quick tests and doctests, in less than a minute
	$(pytest) -m "not seconds and not minutes"

test: .venv/all.stamp ## tests, doctests and notebooks, in about 13 minutes on two cores
	$(pytest) --dist worksteal
	$(nbval)

test-all: .venv/all.stamp ## the same with the tests that take minutes
	$(pytest) --dist worksteal -m ""
	$(nbval)

browser: .venv/all.stamp ## the notebook of sliders in headless Chromium; writes figures/explore.png
	SCREENSHOT=figures/explore.png $(BIN)/python -m pytest -m minutes tests/show/test_browser.py

lab: .venv/all.stamp ## open the notebooks in JupyterLab
	env -u MPLBACKEND $(BIN)/python -m jupyterlab --notebook-dir=notebooks

# a progress bar that appears on a busy machine would be stored in the notebook
notebooks: export TQDM_DISABLE = 1
notebooks: .venv/all.stamp ## run every notebook from a fresh kernel and store its output (NOTEBOOKS=.. runs some)
ifneq ($(NOTEBOOKS),)
	env -u MPLBACKEND COURSE_STRICT=1 $(BIN)/python -m nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.store_widget_state=False --ExecutePreprocessor.record_timing=False $(NOTEBOOKS)
	@# a model answer is stored without its output
	$(BIN)/python -m nbconvert --to notebook --inplace --log-level=WARN --TagRemovePreprocessor.enabled=True \
		--TagRemovePreprocessor.remove_all_outputs_tags=solution $(NOTEBOOKS)
	@# a stored widget is dead until its cell runs; its figure is stored as a picture
	@sed -i.bak '/vnd.jupyter.widget-view/,/}/d' $(NOTEBOOKS) && rm $(NOTEBOOKS:=.bak)
else
	@echo "no notebooks"
endif

assignments: .venv/all.stamp ## student versions and instructor's guide of the assignments, from their source
	$(BIN)/python notebooks/assignments/classroom.py write

grade: .venv/all.stamp ## grade a folder of submitted assignments: make grade SUBMISSIONS=folder [TIMEOUT=seconds] [OPTIONS=..]
	@test -n "$(SUBMISSIONS)" || { echo "name the folder: make grade SUBMISSIONS=folder"; exit 1; }
	$(BIN)/python notebooks/assignments/classroom.py grade "$(SUBMISSIONS)" $(if $(TIMEOUT),--timeout $(TIMEOUT)) $(OPTIONS)

# It holds the wheels that its kernel and widgets ask for, so that Pyodide alone comes from a public server;
# JUPYTERLITE_PYODIDE_URL names another place for it: the .tar.bz2 of a release, as a path or an address
lite: .venv/all.stamp ## the course as a website that runs in the browser alone (JupyterLite): build/lite
	rm -rf build/lib build/lite build/lite-work
	$(BIN)/python -m pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir build/lite-work/wheels \
	  . comm ipywidgets jupyterlab_widgets
	$(BIN)/python docs/lite_contents.py build/lite-work/contents
	cd build/lite-work && $(abspath $(BIN))/python -m jupyterlite_core build --output-dir $(CURDIR)/build/lite \
	  --contents contents --piplite-wheels wheels
	@echo "open it with: $(BIN)/python -m http.server --directory build/lite"

figures: .venv/run.stamp ## every figure at paper size, one per claim, and the gallery figures/README.md (70 minutes on two cores)
	$(BIN)/python -m sedyn run --output figures/main.png
	$(BIN)/python notebooks/claims figures

bench: .venv/run.stamp ## every timing, side by side: benchmarks/README.md and its figures (75 minutes)
	$(BIN)/python benchmarks

site: .venv/site.stamp ## the website: build/site/index.html, every link inside and every picture's text checked (needs no network)
	rm -rf build/site
	$(BIN)/python -m sphinx -W --keep-going -q -c docs -d build/doctrees . build/site
	$(BIN)/python docs/check_links.py build/site

check: .venv/all.stamp ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# git and the wheel must list the same files below sedyn/
dist: .venv/all.stamp ## sdist and wheel of a release, and a check of what they hold: dist/
	rm -rf build/lib build/wheel.txt dist
	$(BIN)/python -m build --quiet
	$(BIN)/python -m twine check --strict dist/*
	@mkdir -p build && $(BIN)/python -m zipfile -l dist/*.whl | awk '/^sedyn\// { print $$1 }' | LC_ALL=C sort > build/wheel.txt
	git ls-files sedyn | LC_ALL=C sort | diff - build/wheel.txt

clean: ## remove caches and builds (.venv stays)
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage
	find . -path ./.venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -print0 | xargs -0 rm -rf

# One process per core. What a module has computed once serves all its tests, and a kernel all cells of its notebook:
# worksteal gives each process a run of neighbours and moves few, loadfile never divides a file.
WORKERS ?= auto
pytest = $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8

# Marked cells (# NBVAL_CHECK_OUTPUT) are compared with their stored output, all others must only run.
ifneq ($(NOTEBOOKS),)
nbval = COURSE_STRICT=1 $(pytest) --dist loadfile --nbval-lax --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg $(NOTEBOOKS)
else
nbval = @echo "no notebooks to test"
endif

# What `make run` needs, and everything; each is redone when pyproject.toml changes.
.venv/run.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e ".[fast,progress,data]"
	@touch $@

.venv/all.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e ".[fast,progress,data,sweep,notebooks,classroom,test,lite,dev]"
	@touch $@ .venv/run.stamp

.venv/site.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e ".[data,site]"
	@touch $@

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "sedyn needs Python 3.11 or newer, and there is no $(PYTHON): install it, or name another with make PYTHON=.."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sedyn needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another with make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
