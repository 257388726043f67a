# `make demo` and `make test` need Python 3.10+ and make, nothing else; everything goes into .venv in this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

export NO_ALBUMENTATIONS_UPDATE := 1
export ALBUMENTATIONS_NO_TELEMETRY := 1
export HF_HUB_DISABLE_PROGRESS_BARS := 1
export NO_MKDOCS_2_WARNING := 1

.PHONY: demo test test-slow test-albumentationsx lint types docs bench clean

demo: $(VENV)/package
	@$(BIN)/albu-gan demo --out albu-gan-demo.jpg

# A test a core, but each takes over a gigabyte of memory. Types are checked meanwhile and said last.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

test: $(VENV)/everything $(VENV)/albumentationsx lint
	@$(BIN)/mypy >$(VENV)/types.txt 2>&1 & types=$$!; \
	  ALBUMENTATIONSX_PATH=$$(ls -d $(CURDIR)/$(VENV)/albumentationsx/albumentations 2>/dev/null | xargs -r dirname) \
	  $(PYTEST) -m "not slow and not gpu"; tests=$$?; \
	  wait $$types; types=$$?; cat $(VENV)/types.txt; exit $$((tests + types))

# Needs Python 3.11.
test-albumentationsx: $(VENV)/everything $(VENV)/albumentationsx
	ALBUMENTATIONSX_PATH=$(CURDIR)/$(VENV)/albumentationsx $(BIN)/python -m pytest tests/test_albumentationsx.py

test-slow: $(VENV)/everything
	$(BIN)/python -m pytest -m "slow and not gpu"

lint: $(VENV)/everything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/everything
	$(BIN)/mypy

# Pages and tables that are written by scripts, then the site, in build/site.
docs: $(VENV)/everything
	$(BIN)/python docs/tables.py
	$(BIN)/python docs/cost.py
	$(BIN)/python -m benchmarks report
	$(BIN)/python docs/gallery/page.py
	$(BIN)/mkdocs build --strict

# About ten minutes; on a machine with nothing else to do.
bench: $(VENV)/everything
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks report
	$(BIN)/python docs/tables.py
	$(BIN)/python docs/cost.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || (echo "albu-gan needs Python 3.10 or newer: make PYTHON=python3.12" && exit 1)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip

$(VENV)/package: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/everything: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q -e ".[train,app,onnx,test,docs]"
	@touch $@ $(VENV)/package

# AlbumentationsX has the same import name: it lies beside the environment and is put before it by the tests that want it.
# It needs Python 3.11; with 3.10 the folder stays empty and those tests are skipped.
$(VENV)/albumentationsx: $(VENV)/everything
	@mkdir -p $@.partial
	if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	  $(BIN)/python -m pip install -q --no-deps --upgrade --target $@.partial \
	    albumentationsx==2.5.1 albucore==0.2.21 numkong==7.8.6; fi
	@rm -rf $@ && mv $@.partial $@

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
