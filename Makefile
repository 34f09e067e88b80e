# Everything here also works without make: see README.md.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
SEED   ?= 0
JOBS   ?= 2
export OMP_NUM_THREADS ?= 1

.PHONY: help setup reproduce paper figures test lint check bench gpu-check clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed  ## make the environment (once)

$(VENV)/.installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

reproduce: setup  ## the main job: every arm of the first two figures on the embedded organism, then runs/tiny/figures
	$(BIN)/python -m mitigations --experiment core --scale tiny --seed $(SEED) --jobs $(JOBS)
	$(BIN)/python -m analysis --runs runs/tiny

paper: setup  ## the whole grid of the paper on every core (hours; resumable), merged into results/tiny
	$(BIN)/python -m mitigations paper; code=$$?; \
	$(BIN)/python -m analysis export --runs runs/tiny --results results/tiny && exit $$code

figures: setup  ## redraw the figures from the committed results, in about two minutes
	$(BIN)/python -m analysis --results results/tiny

test: setup  ## all tests on two processes, a real run of the whole path at scale smoke included
	$(BIN)/python -m pytest -n $(JOBS)

lint: setup  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint  ## the quick check: format, lint, types, fast tests
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow" --durations=20 -x

bench: setup  ## every row of the speed table beside its target, in under ten minutes
	$(BIN)/python -m benchmarks

gpu-check: setup  ## on a machine with a GPU: organism, a small real model, speed beside stock TRL, into gpu-check.json
	$(BIN)/python -m benchmarks.gpu --out gpu-check.json

clean:  ## remove caches (never runs or results)
	rm -rf .mypy_cache .ruff_cache .pytest_cache build *.egg-info
