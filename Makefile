# Everything runs in a separate virtual environment, created on first use.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check docs

demo: .venv/installed        ## install, then run the wavelet method on the embedded dataset
	$(BIN)/dpbench run --method wavelet --eps 1,5,10 --samples 3000

test: .venv/installed-dev    ## install, then run all checks and, on all cores, all tests that need no downloaded data
	$(MAKE) check
	$(BIN)/pytest --numprocesses auto --dist worksteal

check: .venv/installed-dev   ## style, types, the import contracts and the documentation site
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir .venv/site

docs: .venv/installed-dev    ## serve the documentation site on this machine, rebuilt as pages change
	$(BIN)/mkdocs serve

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@
