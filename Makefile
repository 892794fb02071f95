.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
# A folder of wheels (a CPU build of torch, say) is used when PIP_FIND_LINKS names one that exists.
WHEELS := $(wildcard $(PIP_FIND_LINKS))
TORCH := torch==2.13.0 kornia==0.9.0 monai==1.6.1
BACKEND ?= cpu
# Hundreds of tests start processes of their own, which read what the first has compiled.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test lint faults bench evaluate chart kind lock clean

help:  ## What each verb does
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready  ## Install everything into .venv (2.5 GB; `undersky` is then in .venv/bin)

.venv/ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "uv>=0.9,<1"
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(if $(WHEELS),--find-links $(WHEELS),--torch-backend=$(BACKEND)) $(TORCH)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch .venv/ready

demo: setup  ## The whole platform on this machine, on simulated scenes (ONCE=1: and stop when all is done)
	@$(BIN)/python docker/demo.py

test: setup lint  ## Lint, types and all tests but the slow
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not e2e"

lint: setup  ## Ruff and mypy, as strict as pyproject.toml says
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy ml plugins dags docker helm

faults: setup  ## Kill it, cut it, race it: every fault test, the slow ones too
	$(BIN)/python -m pytest -m "faults or e2e"

evaluate: setup  ## Accuracy of every model: frozen suites, simulated ground and, with UNDERSKY_SAMPLES, real data
	$(BIN)/undersky evaluate correction quality landcover vessels

bench: setup  ## Seconds and memory of a full Sentinel-2 tile beside the floor
	$(BIN)/python tests/bench/tile.py

chart: setup  ## Lint, render and check the Helm chart for each of its example values
	$(BIN)/python helm/check.py

kind: setup  ## A cluster on this machine, to the first published scene (needs docker, kind, kubectl, helm)
	$(BIN)/python helm/kind.py

lock: setup  ## Resolve the requirement locks again
	for name in dev runtime airflow; do $(BIN)/uv pip compile --quiet --universal --no-annotate --no-header --python-version 3.11 requirements/$$name.in $$([ $$name = dev ] || echo -c requirements/dev.txt) --output-file requirements/$$name.txt; done

clean:  ## Remove everything that was built
	rm -rf .venv build out .pytest_cache .mypy_cache .ruff_cache .hypothesis
