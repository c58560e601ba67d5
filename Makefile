# Two commands serve a machine that has only Python 3.11 or newer and make: `make demo` and
# `make test`.  Everything is installed into .venv, once: a stamp in there, named by what decides
# the installation, says that nothing is missing, and then pip does not run and no network is needed.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# An interpreter to use instead of the one found: make PYTHON=python3.12 test
PYTHON ?=
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
FUZZ_SECONDS ?= 60

VENV := .venv
RUN := $(VENV)/bin/python
# An environment that exists is kept, unless PYTHON asks for another version of Python.
CANDIDATES := $(RUN) python3 python3.14 python3.13 python3.12 python3.11 python

# Small questions to an interpreter; each must run on any Python that may be found.
VERSION := import sys; print(".".join(map(str, sys.version_info[:3])))
RECENT := import sys; sys.exit(sys.version_info < (3, 11))
TAG := import sys; print(sys.implementation.cache_tag)
HAS_PIP := import pip
HAS_VENV := import ensurepip, venv
# The directory counts because an editable installation points at it.
STAMP := import hashlib, os, sys; \
	text = open("pyproject.toml", "rb").read() + sys.implementation.cache_tag.encode() \
	+ os.fsencode(os.getcwd()); \
	print("$(VENV)/.installed-" + hashlib.sha256(text).hexdigest()[:16])

.PHONY: help
help:
	@echo 'make demo    show what oocarray does, on data made for the purpose    (DEMO_ARGS=...)'
	@echo 'make test    run the tests                                (PYTEST_ARGS="-x tests/...")'
	@echo 'make long    run the tests that take minutes             (PYTEST_ARGS="tests/...")'
	@echo 'make test-crash   kill workers and programs a thousand times, at random'
	@echo 'make test-memory   measure held memory and the page cache on files of 4 GiB'
	@echo 'make fuzz    give the .npy reader damaged files for a while    (FUZZ_SECONDS=60)'
	@echo 'make bench        the suite: cases beside rivals, under an hour    (BENCH_ARGS="--rivals ...")'
	@echo 'make bench-quick  the same, small: less than three minutes         (BENCH_ARGS="--cases ...")'
	@echo 'make bench-core   measure: beside others, budget, page cache  (BENCH_ARGS="--quick ...")'
	@echo 'make bench-io     measure what Linux does with mapped files   (BENCH_ARGS="--quick ...")'
	@echo 'make lint    ruff check, ruff format --check, mypy'
	@echo 'make clean   remove what the other targets made, except $(VENV)'
	@echo 'make distclean   remove $(VENV) too'
	@echo 'PYTHON=python3.12 chooses the interpreter for $(VENV); it must be 3.11 or newer.'

.PHONY: demo
demo: environment
	$(VENV)/bin/oocarray demo $(DEMO_ARGS)

.PHONY: test
test: environment
	$(RUN) -m pytest $(PYTEST_ARGS)

.PHONY: long
long: environment
	$(RUN) -m pytest -m long $(PYTEST_ARGS)

.PHONY: test-crash
test-crash: environment
	$(RUN) -m pytest -m long tests/test_crash.py tests/test_interrupts.py $(PYTEST_ARGS)

.PHONY: test-memory
test-memory: environment
	$(RUN) -m pytest -m long -s tests/test_memory.py tests/test_cache.py $(PYTEST_ARGS)

.PHONY: fuzz
fuzz: environment
	@$(RUN) -c 'import atheris' 2>/dev/null || \
	$(RUN) -m pip install --quiet --no-input --disable-pip-version-check --editable '.[fuzz]' || { \
	    echo 'atheris could not be installed: it needs a network, Linux on x86-64 and a version of' >&2; \
	    echo 'Python it has a wheel for. make test tries the same by hypothesis, for less long.' >&2; \
	    exit 1; \
	}
	$(RUN) fuzz/fuzz_npy.py -max_total_time=$(FUZZ_SECONDS)

.PHONY: bench bench-quick
bench: environment
	$(RUN) -m benchmarks $(BENCH_ARGS)

bench-quick: environment
	$(RUN) -m benchmarks --quick $(BENCH_ARGS)

.PHONY: bench-core
bench-core: environment
	$(RUN) -m benchmarks.core $(BENCH_ARGS)

.PHONY: bench-io
bench-io: environment
	$(RUN) -m benchmarks.io_policy $(BENCH_ARGS)

.PHONY: lint
lint: environment
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

.PHONY: environment
environment:
	@set -eu; \
	python=''; seen=''; \
	for candidate in $(if $(PYTHON),'$(PYTHON)',$(CANDIDATES)); do \
	    version=$$("$$candidate" -c '$(VERSION)' 2>/dev/null) || continue; \
	    seen="$$seen $$candidate ($$version)"; \
	    "$$candidate" -c '$(RECENT)' || continue; \
	    if [ "$$candidate" = '$(RUN)' ]; then \
	        "$$candidate" -c '$(HAS_PIP)' 2>/dev/null || continue; \
	    fi; \
	    python=$$candidate; break; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "oocarray needs Python 3.11 or newer; found:$${seen:- none}." >&2; \
	    echo 'Install one, or name it: make PYTHON=/path/to/python3.12 ...' >&2; \
	    exit 1; \
	fi; \
	stamp=$$("$$python" -c '$(STAMP)'); \
	if [ -f "$$stamp" ] && [ -x '$(RUN)' ]; then exit 0; fi; \
	tag=$$("$$python" -c '$(TAG)'); \
	if [ "$$('$(RUN)' -c '$(HAS_PIP); $(TAG)' 2>/dev/null)" != "$$tag" ]; then \
	    if ! "$$python" -c '$(HAS_VENV)' 2>/dev/null; then \
	        echo "$$python ($$version) cannot make a virtual environment: it has no ensurepip." >&2; \
	        echo 'On Debian or Ubuntu install the package python3-venv (for an interpreter' >&2; \
	        echo 'beside the default one: python3.12-venv and so on), then run make again.' >&2; \
	        exit 1; \
	    fi; \
	    echo "Making $(VENV) with $$python ($$version)"; \
	    "$$python" -m venv --clear '$(VENV)'; \
	fi; \
	echo 'Installing oocarray and what it needs into $(VENV): once, needs a network'; \
	'$(RUN)' -m pip install --quiet --no-input --disable-pip-version-check --editable '.[test]' || { \
	    echo 'pip could not install what oocarray needs; make goes on from here when run again.' >&2; \
	    exit 1; \
	}; \
	rm -f '$(VENV)'/.installed-*; \
	: > "$$stamp"

.PHONY: clean
clean:
	rm -rf build dist demo-out oocarray-demo *.egg-info .hypothesis .pytest_cache .mypy_cache .ruff_cache
	find . -name '$(VENV)' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean
	rm -rf '$(VENV)'
