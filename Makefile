# `make help` lists the targets. Everything runs inside .venv, which the first target makes.
SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

install: .venv/installed ## make .venv from requirements.lock

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(f"Python 3.11 or newer is needed, found {sys.version.split()[0]}: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv --clear .venv || (echo 'No venv module: on Debian, apt install python3-venv'; exit 1)
	@# uv installs far faster than pip; its own pin and hashes stand in the lock too
	sed -n '/^uv==/,/^ *#/p' requirements.lock | pip install --quiet --disable-pip-version-check --require-hashes -r /dev/stdin
	uv pip sync --quiet --require-hashes --compile-bytecode --python .venv requirements.lock
	@touch $@

lock: install ## write requirements.lock and requirements-serve.lock anew from pyproject.toml
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --fork-strategy fewest \
		--python-version 3.11 --extra dev --no-header pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --fork-strategy fewest \
		--python-version 3.11 --group serve --no-header --constraint requirements.lock --output-file requirements-serve.lock

quickstart: install ## the whole pipeline, offline, on 1,797 small digits, in .quickstart (a clone of the last commit)
	@rm -rf .quickstart && git clone --quiet . .quickstart
	@cd .quickstart && dvc exp run --name quickstart $(foreach change,$(QUICKSTART),--set-param '$(change)')
	@cd .quickstart && dvc metrics show && echo "Report: file://$(CURDIR)/.quickstart/reports/index.html"

# 1,437 training images instead of 60,000: fewer to hold out, more epochs of smaller batches; five of the seven models
QUICKSTART = dataset=digits split.validation=240 explore.embedded_images=1000 gate.nondigits=2000 \
	cross_validation.folds=2 cross_validation.images=1000 ~models.mlp ~models.lenet \
	$(foreach model,cnn_fast cnn,models.$(model).epochs=20 models.$(model).batch_size=32)

repro: install ## the whole pipeline on MNIST: `dvc repro`
	dvc repro

serve: install ## read digits over HTTP, with a page to draw on: http://127.0.0.1:8000
	python -m pipeline.serve

verify: install ## rebuild the last commit in a fresh clone and compare every byte
	python -m pipeline.verify

doctor: install ## look for what is wrong: parameters, versions, damaged files in DVC's cache
	python -m pipeline.doctor

test: install ## run the tests, offline
	pytest

faults: install ## kill stages at 20 random points, and all other tests of faults
	KILLS=20 pytest tests/test_faults.py

bench: install ## time our recipes and others' side by side, the models and the stages; an hour or more
	python -m benchmarks.stages
	python -m benchmarks.inference
	python -m benchmarks.service
	python -m benchmarks.robustness
	python -m benchmarks.rejection
	python -m benchmarks.int8
	python -m benchmarks.suspects
	python -m benchmarks.pins
	python -m benchmarks.training --seeds $(or $(SEEDS),5)
	python -m benchmarks.draw
	cog -r README.md docs/*.md

format: install ## rewrite the code in one style
	ruff format . && ruff check --fix .

check: install ## format, lint, types, README's numbers, tests: what CI runs
	ruff format --check .
	ruff check .
	mypy
	cog --check README.md docs/*.md
	pytest

readme: install ## bring the numbers in README.md and docs up to date
	cog -r README.md docs/*.md

clean: ## remove .venv, .quickstart and caches; data and models stay
	rm -rf .venv .quickstart .mypy_cache .pytest_cache .ruff_cache

.PHONY: help install lock quickstart repro serve verify doctor test faults bench format check readme clean
