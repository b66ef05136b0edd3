# PYTHON: the interpreter that has the extras of the README's test command; a virtual environment's by default.
PYTHON ?= python

.PHONY: check test docs format

check:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict
	$(PYTHON) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

test:
	$(PYTHON) -m pytest

# The documentation is Markdown, read where it lies. What can be wrong in it is tested: examples, links, the changelog.
docs:
	$(PYTHON) -m pytest --doctest-modules paircomp adapters/paircomp_adapters focusdiff leaderboard/paircomp_leaderboard
	$(PYTHON) -m pytest tests/test_project.py -k "links or changelog or readme"

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
