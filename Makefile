# make run and make test are all that a fresh machine needs; each installs what is missing.
PYTHON ?= python3
BIN := .venv/bin
RUN_ARGUMENTS ?= --space quick

.PHONY: run test test-all check clean

run: .venv/run-installed
	$(BIN)/python -m tune.run $(RUN_ARGUMENTS)

# The fast tests first: they fail in seconds what the slow ones would fail in minutes.
test: .venv/installed
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2
	$(BIN)/python -m pytest -m "slow and not long" --numprocesses 2 --maxschedchunk 1

# Also what breaks clusters on purpose, and each command of the docs: 50 minutes on 2 cores.
test-all: .venv/all-installed
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2
	$(BIN)/python -m pytest -m slow --numprocesses 2 --maxschedchunk 1

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# What a search needs; then also what the tests need: servers that they start, a browser's driver;
# then what a cluster that takes jobs needs.
.venv/run-installed: EXTRA =
.venv/installed: EXTRA = [dev]
.venv/all-installed: EXTRA = [dev,cluster]
.venv/run-installed .venv/installed .venv/all-installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.$(EXTRA)'
	touch $@

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache
