# Everything is installed in .venv and nothing outside this folder is touched, but pip's cache.
#   PYTHON=python3.12      another Python (3.10 to 3.13)
#   DURATION=60            how long the demonstration runs, in seconds
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu
#                          a package index to look for torch in besides the usual one; this one has the small build
#                          without CUDA
#   TESTS="tests/edge -k hill"   what `make test` runs

PYTHON ?= python3
DURATION ?= 10
TORCH_INDEX ?=
TESTS ?=

VENV := .venv
PY := $(VENV)/bin/python
# Relative, because pip splits this variable at spaces; the variable, because build requirements are pinned by it too.
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=constraints.txt $(PY) -m pip install --quiet
DEMO := edge/data/demo

.DEFAULT_GOAL := help
.PHONY: help demo test lint format demo-bundle constraints clean
.DELETE_ON_ERROR:

help: ## This list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo: $(VENV)/.runtime ## Live muscle forces of a synthesised walk in the terminal; no hardware, no torch
	$(PY) -m edge.cli run --bundle demo --sensor 'replay:demo?loop=1' --output null: --duration $(DURATION) --view

test: $(VENV)/.dev ## Install the development extras and run the tests
	$(PY) -m pytest $(TESTS)

lint: $(VENV)/.dev ## Check style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/.dev ## Mend what can be mended of the style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

demo-bundle: $(VENV)/.dev ## Make the demonstration's recording and train its bundle again
	$(PY) -m edge.cli synthesise --out-dir $(DEMO) --seconds 20 --speed-mps 1.3 --mass-kg 75 --seed 1
	$(PY) -m edge.cli train --model leg9 --trials $(DEMO)/trials.toml --out edge/data/demo.msk \
		--head residual --age-ms 50 --seed 0

constraints: $(VENV)/.python ## Resolve constraints.txt anew (after a change of pyproject.toml)
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(PY) -m pip install --quiet uv
	sed -n '/^#/p' constraints.txt > $(VENV)/constraints.new
	echo 'torch==2.13.0' > $(VENV)/pinned.txt
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header \
		--extra train --extra dev --extra can --extra lsl --extra dashboard --extra sweep \
		--constraint $(VENV)/pinned.txt pyproject.toml >> $(VENV)/constraints.new
	mv $(VENV)/constraints.new constraints.txt

clean: ## Remove .venv, builds and caches; recorded sessions in logs/ stay
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find edge train tools tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "edge-msk needs Python 3.10 or newer as '$(PYTHON)': install one, or name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "this Python cannot make virtual environments: sudo apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing the runtime into $(VENV) (the first time it takes a minute)"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing the runtime and the development extras into $(VENV) (the first time it takes minutes)"
	@$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --editable '.[dev]'
	@touch $(VENV)/.runtime $@
