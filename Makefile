# make run     archive a repository (this one, or ORIGIN=URL), read an object back over HTTP, serve
# make test    all tests            (TESTS=… for some: make test TESTS=tests/test_packaging.py)
# make lint    format, lint, types
# make clean   remove all that these made, but not the archive in run/
#
# PYTHON=… names the interpreter (3.11 or later); LISTEN=HOST:PORT where `make run` serves.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test lint clean
MAKEFLAGS += --no-print-directory

VENV := .venv/bin
TESTS ?=
export ORIGIN LISTEN PYTHON

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

run:
	@tools/prepare.sh run
	@$(VENV)/python tools/run.py

test:
	@tools/prepare.sh dev
	@tools/prepare.sh clients
	@$(VENV)/python -m pytest -n 2 $(TESTS)

lint:
	@tools/prepare.sh dev
	$(VENV)/python -m ruff check .
	$(VENV)/python -m ruff format --check .
	$(VENV)/python -m mypy
	$(VENV)/python -m mypy tools benchmarks
	$(VENV)/python -m mypy tests
	$(VENV)/python -m mypy examples/*/*.py

clean:
	rm -rf .venv .venv-clients .make .schemathesis .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage dist build
	find . -name __pycache__ -type d -not -path './run/*' -prune -exec rm -rf {} +
