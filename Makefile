# Driftloop's commands. Each does the whole set-up by itself, once: see scripts/prerequisites.sh.
# ARGS=...          more arguments for demo, test or bench: ARGS="--days 200 --streams 12"
# TORCH_BACKEND=... build of torch for the set-up: cpu (the smallest), auto, cu128; else PyPI's
# PYTHON=...        Python for the set-up, 3.11 or 3.12; else found by itself

SHELL := bash
BIN := .venv/bin
READY := .venv/.ready
# Most tests of a real Kafka wait: more of them than processors run beside each other.
WORKERS := 4
UV_VERSION := 0.13.9
SOURCES := $(wildcard src flows tests benchmarks experiments scripts)

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench format constraints clean .venv

help:  ## list these commands
	@echo "make COMMAND, where COMMAND is"
	@awk -F ':.*## ' '/^[.a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile
	@echo "and, where wanted,"
	@awk -F '=[.]+ +' '/^# [A-Z_]+=[.]/ { sub("# ", ""); printf "  %-18s %s\n", $$1 "=...", $$2 }' Makefile

demo: $(READY)  ## replay a year of real flights: see models drift, get retrained and recover
	@$(BIN)/driftloop demo $(ARGS)

test: $(READY)  ## run all tests, those on a real Kafka too
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: $(READY)  ## check style, formatting, types and the direction of imports
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## measure throughput on a real Kafka, and training in short, beside baselines
	$(BIN)/python -m benchmarks.throughput $(ARGS)
	$(BIN)/python -m benchmarks.training --quick

format: $(READY)  ## format the code and mend what ruff can mend by itself
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

constraints: $(READY)  ## resolve the newest versions anew and write constraints.txt
	$(BIN)/python scripts/constraints.py

.venv: $(READY)  ## set up only: .venv with the pinned versions

$(READY): pyproject.toml constraints.txt
	@python=$$(bash scripts/prerequisites.sh "$(PYTHON)") \
	  && echo "Setting up .venv with $$python (some minutes, once)" \
	  && { $(BIN)/python -c 'import pip' 2>/dev/null || "$$python" -m venv --clear .venv; }
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet uv==$(UV_VERSION)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt \
	  $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) \
	  --editable '.[trainer,scorer,s3,mlflow,sklearn,xgboost,onnx,otel,signing,demo,backtest,dashboard,dev]'
	@touch $@

clean:  ## stop the local Kafka; remove .venv, caches and .driftloop
	@if [ -x $(BIN)/driftloop ]; then $(BIN)/driftloop kafka down --purge; fi
	rm -rf .venv .driftloop build dist .benchmarks .hypothesis .import_linter_cache \
	  .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
