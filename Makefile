# `make help` lists the targets. Everything runs in .venv, which `make install` creates.
# docs/reference/commands.md has the same commands for systems without make.
SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

install: .venv/project ## make .venv from requirements.lock, with the commands digits and digits-serve

.venv/project: .venv/installed pyproject.toml
	uv pip install --quiet --offline --no-deps --no-build-isolation --python .venv --editable .
	@touch $@

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(f"Python 3.11 or newer is needed, found {sys.version.split()[0]}: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv --clear .venv || (echo 'No venv module: on Debian, apt install python3-venv'; exit 1)
	@# uv installs far faster than pip; the lock pins it too
	sed -n '/^uv==/,/^ *#/p' requirements.lock | pip install --quiet --disable-pip-version-check --require-hashes -r /dev/stdin
	uv pip sync --quiet --require-hashes --compile-bytecode --python .venv requirements.lock
	@touch $@

lock: install ## write requirements.lock and requirements-serve.lock anew from pyproject.toml
	uv pip compile $(COMPILE) --upgrade --extra serve --group dev --output-file requirements.lock
	uv pip compile $(COMPILE) --extra serve --constraint requirements.lock --output-file requirements-serve.lock

COMPILE = pyproject.toml --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --no-header

quickstart: install ## the whole pipeline on 1,797 small digits, in .quickstart (a clone of the last commit)
	@python -m pipeline.commands.quickstart

repro: install ## the whole pipeline on MNIST: `dvc repro`; JOBS=2 runs two stages at once
	@python -m pipeline.params
	$(REPRO)

REPRO = $(if $(JOBS),python -m pipeline.commands.repro --jobs $(JOBS),dvc repro)

publish: install ## copy all outputs to a folder that a web server can serve: make publish TO=public
	python -m pipeline.commands.publish $(TO)

serve: install ## the HTTP service, with a drawing page: http://127.0.0.1:8000
	digits-serve

verify: install ## rebuild the last commit in a fresh clone and compare every byte
	python -m pipeline.commands.verify

doctor: install ## look for problems: parameters, versions, damaged files in DVC's cache
	python -m pipeline.commands.doctor

wheel: install ## build the reader's wheel in dist
	python -m hatchling build --clean --target wheel

test: install ## run the tests, offline
	pytest

faults: install ## run the tests of faults, with stages killed at 20 random points
	KILLS=20 pytest tests/test_faults.py

bench: install ## run the regular benchmarks, an hour or more; with EXTERNAL=folder also external datasets
	python -m benchmarks.stages
	python -m benchmarks.inference
	python -m benchmarks.service
	python -m benchmarks.robustness
	python -m benchmarks.rejection
	python -m benchmarks.reading
	python -m benchmarks.canonicalizers
	python -m benchmarks.ood
	$(if $(EXTERNAL),python -m benchmarks.external)
	python -m benchmarks.int8
	python -m benchmarks.label_errors
	python -m benchmarks.pins
	python -m benchmarks.rounding
	python -m benchmarks.training --seeds $(or $(SEEDS),5)
	python -m benchmarks.draw
	cog -r README.md docs/*.md

format: install ## rewrite the code in one style
	ruff format . && ruff check --fix .

check: install ## format, lint, types, numbers in documents, tests
	ruff format --check .
	ruff check .
	mypy
	cog --check README.md docs/*.md
	pytest

readme: install ## update the numbers in README.md and docs
	cog -r README.md docs/*.md

clean: ## remove .venv, .quickstart, dist and caches; keep data and models
	git clean -ffdqX -- .venv .quickstart dist .mypy_cache .pytest_cache .ruff_cache

.PHONY: help install lock quickstart repro publish serve verify doctor wheel test faults bench format check readme clean
