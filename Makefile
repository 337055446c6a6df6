# Two commands do everything on a fresh machine: make demo and make test. Every target builds its environment first.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
DATA   ?= ../shared/data
BIN    := $(VENV)/bin
TORCH  := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

.PHONY: demo test lint types layers tests fuzz fuzz-api floor milvus ray s3 mutants docs dist clean

# PHOTOS comes through the environment, where spaces are safe.
demo: $(VENV)/.installed
	$(BIN)/resight demo $${PHOTOS:+"$$PHOTOS"}

test: lint types layers tests

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

# All but tests/servers, which want a Milvus server or a Ray cluster: make milvus, make ray.
tests: $(VENV)/.installed-dev $(VENV)/.installed-browser
	RESIGHT_TEST_DATA="$(DATA)" $(BIN)/python -m pytest -n 2 --ignore tests/servers

# Damaged files for every reader: TRIES of each, about ten minutes for 20,000.
TRIES ?= 20000
fuzz: $(VENV)/.installed-dev
	RESIGHT_FUZZ=$(TRIES) $(BIN)/python -m pytest -n 2 tests/files/test_fuzzed_readers.py

# Requests of every kind for every route of the API, made from its description: about two minutes.
fuzz-api: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/serve_fuzz.py --work build/fuzz-api

# The lowest version that pyproject.toml admits of every dependency, in an environment of its own, and the fast
# tests there. PyTorch comes first: its lowest version from the same place as the tested one.
FLOOR := build/floor
floor: $(VENV)/.installed-dev
	test -x $(FLOOR)/bin/python || $(PYTHON) -m venv $(FLOOR)
	$(BIN)/python benchmarks/floor.py > $(FLOOR)/constraints.txt
	$(FLOOR)/bin/python -m pip install --quiet --constraint $(FLOOR)/constraints.txt torch
	$(FLOOR)/bin/python -m pip install --quiet --constraint $(FLOOR)/constraints.txt --editable '.[dev]'
	RESIGHT_TEST_DATA="$(DATA)" $(FLOOR)/bin/python -m pytest -n 2 -m "not slow" --ignore tests/docs --ignore tests/examples

# A real Milvus server, in an environment of its own, killed while rows are sent and searched: about five minutes.
MILVUS := build/milvus
milvus: $(VENV)/.installed-dev
	test -x $(MILVUS)/bin/milvus-server || { $(PYTHON) -m venv $(MILVUS) && $(MILVUS)/bin/pip install --quiet milvus==2.3.5 'setuptools<81'; }
	RESIGHT_MILVUS=$(MILVUS)/bin/milvus-server $(BIN)/python -m pytest -x -s tests/servers/test_milvus_server.py

# A Ray cluster of this machine whose workers and driver are killed: about five minutes.
ray: $(VENV)/.installed-dev
	RESIGHT_RAY=1 $(BIN)/python -m pytest -x tests/servers/test_ray_cluster.py

# Collections in buckets of a server of moto, in an environment of its own: about a minute.
S3 := build/s3
s3: $(VENV)/.installed-dev
	test -x $(S3)/bin/moto_server || { $(PYTHON) -m venv $(S3) && $(S3)/bin/pip install --quiet 'moto[server]==5.2.5'; }
	RESIGHT_S3=$(S3)/bin/moto_server $(BIN)/python -m pytest -x tests/collection/test_bucket.py

# Changes the formulas one at a time and lists the changes that no test notices: at most 12 minutes a room.
# ROOM=losses, networks/pooling, evaluation/measures or search; all four by default.
mutants: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[mutants]'
	$(BIN)/python benchmarks/mutants.py $(ROOM)

# The site, into build/site; it opens from the disk. A warning is an error.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Source archive, and from it the wheel, into dist.
dist: $(VENV)/.installed-dev
	$(BIN)/python -m build --no-isolation

# What a person needs to search photos, on the command line and on a page.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[serve]'
	touch $@

# What the site is made with and from.
$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# What the tests need besides. PyTorch comes first and by its exact version: a range may bring gigabytes of CUDA.
$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# The browser that looks at the page. Where it is not there and cannot be installed, the tests of the page are skipped.
$(VENV)/.installed-browser: $(VENV)/.installed-dev
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1 || echo "No chromium: the tests of the page are skipped."
	touch $@

clean:
	rm -rf $(VENV) build dist demo .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
