# Everything below works right after `git clone`: the first call makes .venv and installs the lock, later ones do not.
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
  $(p) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && echo $(p))) python3)
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
INSTALLED := $(VENV)/.installed

LOCK := uv pip compile pyproject.toml --extra dev --quiet

.PHONY: help setup repro report test check bench lock
.DEFAULT_GOAL := help

help:  ## list these targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(INSTALLED)  ## make .venv, install the lock and this package (editable)

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V); say make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

repro: $(INSTALLED)  ## run the pipeline (dvc repro): only what changed
	dvc repro

report: $(INSTALLED)  ## write report.html about the workspace; make report A=main B=lr-3 sets two side by side
	sentiment report $(A) $(B)

test: $(INSTALLED)  ## run the tests; REVIEWS_CSV=file.csv adds those on the real reviews
	pytest -n auto --maxprocesses 4 --dist loadfile

check: $(INSTALLED)  ## lint, types, and whether the lock is fresh and fits together
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	pip check
	@cp requirements.txt $(VENV)/lock.txt && $(LOCK) --output-file $(VENV)/lock.txt && \
	  diff requirements.txt $(VENV)/lock.txt || { echo "requirements.txt is stale: run make lock"; exit 1; }

bench: $(INSTALLED)  ## measure speed beside rivals; REVIEWS_CSV=file.csv for real reviews
	python -m benchmarks $(if $(REVIEWS_CSV),--reviews $(REVIEWS_CSV))

lock: $(INSTALLED)  ## write requirements.txt anew from pyproject.toml
	$(LOCK) --output-file requirements.txt

.PHONY: s3 s3-stop doctor pull push reviews

s3: $(INSTALLED)  ## start a local S3 server and point DVC at it; SOURCE=file.csv serves it as the public reviews
	@python -m storage.server start $(if $(PORT),--port $(PORT)) $(if $(SOURCE),--source "$(SOURCE)")

s3-stop: $(INSTALLED)  ## stop that server; its data stays
	@python -m storage.server stop

doctor: $(INSTALLED)  ## check the remote and this machine, one line each
	@python -m storage.doctor

pull: $(INSTALLED)  ## dvc pull; where it fails, say which object is at fault and which stage makes it
	@python -m storage.pull

push: $(INSTALLED)  ## dvc push --run-cache, and what earlier runs made, so that nobody trains them again
	@python -m storage.push

reviews: $(INSTALLED)  ## bring the public reviews to data/raw/reviews.csv (dvc import-url); offline, after make s3 SOURCE=
	dvc import-url --force remote://reviews-source/womens_clothing_ecommerce_reviews.csv data/raw/reviews.csv
