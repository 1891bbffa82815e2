# The developer's commands; `check` and `test` are what .ci/run runs after a fresh install.
.PHONY: check test e2e docs bench

check:  ## style, formatting, types
	ruff check
	ruff format --check
	mypy

test:  ## every test and every example in a docstring
	python -m pytest

e2e:  ## the whole loop on generated clips, from ingest to a scored file
	w2svqa run configs/tiny-cpu.yaml

docs:  ## the examples in docstrings and the README's commands and folder tree
	python -m pytest src tests/repo

bench:  ## every benchmark in its small form; those without their data (exit code 2) are passed over
	for script in benchmarks/[!_]*.py; do python "$$script" --small || [ $$? -eq 2 ] || exit 1; done
