# What people type. Every target sets up what it needs, from a fresh clone too.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
TESTS ?=

.PHONY: demo test lint fmt bench soak clean

demo: $(READY) ## three simulated units, from the token export to the label
	@$(BIN)/eol-inject demo --out demo-out

test: $(READY) ## all tests but the long campaigns
	@.ci/debian-packages
	@$(BIN)/python -m pytest -n 6 --dist worksteal -rs $(TESTS)

lint: $(READY) ## style, then types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

fmt: $(READY) ## mend what can be mended
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: $(READY) ## every named figure
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

soak: $(READY) ## the long campaigns: hours
	@.ci/debian-packages
	@$(BIN)/python -m pytest -n 2 --dist worksteal -rs -m soak --timeout 0 $(TESTS)

clean:
	rm -rf .venv .hypothesis .mypy_cache .ruff_cache build dist demo-out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Without a network an environment that was complete once is good enough: pip's failure is told,
# and what is missing shows itself.
$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || { echo "Setting up .venv with $(PYTHON), once ..."; $(PYTHON) -m venv .venv; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]' \
		|| { test -e $(READY) && echo "pip failed; going on with the .venv that is there"; }
	@touch $(READY)
