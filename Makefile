# PYTHON: the interpreter that has the extras of the README's test command; a virtual environment's by default.
PYTHON ?= python

.PHONY: check test docs audit format

check:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict
	$(PYTHON) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

test:
	$(PYTHON) -m pytest -n 2 --dist loadfile

# The documentation is Markdown, read where it lies. What can be wrong in it is tested: examples, links, the changelog.
docs:
	$(PYTHON) -m pytest --doctest-modules paircomp adapters/paircomp_adapters focusdiff leaderboard/paircomp_leaderboard
	$(PYTHON) -m pytest tests/test_project.py -k "links or changelog or readme"

# Known vulnerabilities of everything that constraints.txt pins; needs `pip install pip-audit` and the network. The CPU
# build of torch is looked up as the release it was built from. What cannot be looked up is an error, not a pass.
audit:
	$(PYTHON) -m pip_audit --strict --no-deps --disable-pip -r constraints.txt

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
