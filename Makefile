# The daily commands. `make help` lists them.
PYTHON ?= python3
BIN    := .venv/bin
STUDY  ?=
RUN    ?=
REPAIR ?=
MODEL  ?=
SCALE  ?=
SINCE  ?=
RUNS   ?=
GROW   ?=
LOCKED ?=
JOIN   ?=
STEPS  ?=
CHECKOUT ?=
ENGINE ?=
ADDRESS ?=
STAGE  ?= production
PORT   ?=
STAMP  := .venv/.installed

export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help setup sweep watch stop status ui dashboard compare report promote rollback reproduce doctor lock lint check test coverage clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(STAMP) ## the environment in .venv; every other target sets it up when it is missing. LOCKED=1: each file by its hash
	@test -z "$(LOCKED)" || test -e .venv/.locked || \
		{ echo "error: .venv was installed without hashes; write: make clean && make setup LOCKED=1" >&2; exit 2; }

PIP    := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
ours   := --constraint constraints.txt
locked := --no-deps --require-hashes

$(STAMP): pyproject.toml constraints.txt $(if $(LOCKED),requirements.lock)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		{ echo "error: Python 3.11 or 3.12 is needed, but $(PYTHON) is another; write for example: make setup PYTHON=python3.11" >&2; exit 2; }
	@test -z "$(LOCKED)" || $(PYTHON) -c 'import platform, sys; sys.exit((*sys.version_info[:2], sys.platform, platform.machine()) != (3, 11, "linux", "x86_64"))' || \
		{ echo "error: requirements.lock is of Python 3.11 on Linux, x86_64, and this is another; write: make setup" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the environment into .venv (some minutes, once)"
	@$(if $(LOCKED),$(PIP) $(locked) --requirement requirements.lock,true)
	@$(PIP) $(if $(LOCKED),--no-deps --no-build-isolation,$(ours)) --editable '.[dev]'
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { \
		grep '^opencv-python-headless==' $(if $(LOCKED),requirements.lock,constraints.txt) > .venv/headless.txt && \
		$(PIP) --force-reinstall --no-deps --requirement .venv/headless.txt; }
	@$(BIN)/python -m compileall -q ocr_sweep
	@$(if $(LOCKED),touch,rm -f) .venv/.locked
	@touch $@

sweep: $(STAMP) ## run a study, or go on with it: make sweep STUDY=unet_aug, SCALE=gpu, GROW=1, JOIN=1, ENGINE=ray ADDRESS=head:6379
	@$(call need,STUDY,a study,make sweep STUDY=unet_aug)
	@$(BIN)/ocr-sweep sweep run $(STUDY) $(if $(SCALE),--scale $(SCALE)) $(if $(GROW),--grow) $(if $(JOIN),--join) \
		$(if $(ENGINE),--engine $(ENGINE)) $(if $(ADDRESS),--address $(ADDRESS))

watch: $(STAMP) ## look at a study that runs in another terminal or in the background: make watch STUDY=unet_aug
	@$(call need,STUDY,a study,make watch STUDY=unet_aug)
	@$(BIN)/ocr-sweep sweep watch $(STUDY)

stop: $(STAMP) ## stop a study after a checkpoint of every trial: make stop STUDY=unet_aug
	@$(call need,STUDY,a study,make stop STUDY=unet_aug)
	@$(BIN)/ocr-sweep sweep stop $(STUDY)

status: $(STAMP) ## how every study is, or one: make status STUDY=unet_aug
	@$(BIN)/ocr-sweep sweep status $(STUDY)

ui: $(STAMP) ## the MLflow UI over this project's runs, on this machine only: make ui PORT=5000
	@$(BIN)/ocr-sweep ui --port $(or $(PORT),5000)

dashboard: $(STAMP) ## optuna-dashboard over this project's studies, on this machine only: make dashboard PORT=8080
	@$(BIN)/python -c 'import optuna_dashboard' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dashboard]'
	@$(BIN)/ocr-sweep dashboard --port $(or $(PORT),8080)

report: $(STAMP) ## slides and a work log of what was tried lately and what it taught: make report SINCE=2w
	@$(BIN)/ocr-sweep report $(if $(SINCE),--since $(SINCE))

compare: $(STAMP) ## a page that sets a study's arms, or runs, side by side: make compare STUDY=backbones, or RUNS="<id> <id>"
	@$(if $(RUNS)$(STUDY),,$(call need,STUDY,a study or RUNS='<id> <id>',make compare STUDY=backbones))
	@$(BIN)/ocr-sweep runs compare $(if $(RUNS),$(RUNS),--study $(STUDY))

promote: $(STAMP) ## put a winner into production: make promote STUDY=unet_aug, or RUN=<id>, STAGE=staging
	@$(if $(STUDY)$(RUN),,$(call need,STUDY,a study or RUN=<id>,make promote STUDY=unet_aug))
	@$(BIN)/ocr-sweep models promote $(if $(RUN),--run $(RUN),--study $(STUDY)) --stage $(STAGE)

rollback: $(STAMP) ## bring the version before back into production: make rollback MODEL=ocr-qianziwen, or STAGE=staging
	@$(call need,MODEL,a registered model,make rollback MODEL=ocr-qianziwen)
	@$(BIN)/ocr-sweep models rollback $(MODEL) --stage $(STAGE)

reproduce: $(STAMP) ## train a past run again and get a verdict: make reproduce RUN=<id>, or STEPS=50, CHECKOUT=1
	@$(call need,RUN,a run ID,make reproduce RUN=<id>)
	@$(BIN)/ocr-sweep runs reproduce $(RUN) $(if $(STEPS),--steps $(STEPS)) $(if $(CHECKOUT),--checkout)

doctor: $(STAMP) ## prove that everything remembered agrees, change nothing; make doctor REPAIR=1 mends, STUDY=<study> limits
	@$(BIN)/ocr-sweep doctor $(STUDY) $(if $(REPAIR),--repair)

lock: $(STAMP) ## write requirements.lock anew, after a change of constraints.txt
	@$(PIP) --dry-run --ignore-installed --report .venv/report.json $(ours) --editable '.[dev]' setuptools
	@$(BIN)/python tools/write_lock.py .venv/report.json > .venv/requirements.lock && mv .venv/requirements.lock requirements.lock

lint: $(STAMP) ## format, lint, types, layers, study files
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary ocr_sweep benchmarks tools
	@$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports
	@$(BIN)/ocr-sweep sweep check

check: lint ## lint and the fast tests
	@$(BIN)/pytest -m 'not slow'

test: lint ## everything that CI runs: lint and all tests
	@$(BIN)/pytest -n 2 --dist loadfile --durations=15

coverage: lint ## all tests, and what they do not reach
	@$(BIN)/pytest -n 2 --dist loadfile --cov=ocr_sweep --cov-report=term:skip-covered

clean: ## remove the environment and the caches; mlruns/ stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info

need = test -n "$($(1))" || { echo "error: name $(2), for example: $(3)" >&2; exit 2; }
