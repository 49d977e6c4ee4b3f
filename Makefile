# Two commands are for everyone: `make run` and `make test`.  The rest is in CONTRIBUTING.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What to run: `make run ARGS="rtt --by raddr -i 1"`.
ARGS ?= serve
KERNELS ?= 5.10 6.1 6.12 6.18 7.3
# `make test-vm SELECTION=--ci`: each test only on the kernels that it needs.
SELECTION ?=
# `make fuzz SECONDS=60`: how long to try inputs.
SECONDS ?= 600
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

run: $(VENV)/run
	$(AS_ROOT) $(BIN)/tcpvitals $(ARGS)

test: lint
	$(AS_ROOT) env TCPVITALS_PROMTOOL="$$(scripts/fetch-prometheus)/promtool" $(BIN)/python -m pytest -p no:cacheprovider tests/unit tests/fuzz tests/kernel

unit: $(VENV)/test
	$(BIN)/python -m pytest -p no:cacheprovider tests/unit tests/fuzz

fuzz: $(VENV)/test
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS)

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	scripts/file-lengths
	scripts/c-format $(BIN) --check

test-vm: $(VENV)/test
	scripts/install vm
	$(AS_ROOT) tests/vm/run $(SELECTION) $(KERNELS)

bpf:
	scripts/install bpf
	$(MAKE) -C src/tcpvitals/bpf
	$(MAKE) -C tests/kernel/bpf

# Do the committed objects come from the committed sources?
bpf-check:
	scripts/install bpf
	scripts/bpf-check

bench: $(VENV)/test
	scripts/install bpf
	$(AS_ROOT) $(BIN)/python bench/run.py

format: $(VENV)/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	scripts/c-format $(BIN)

clean:
	rm -rf $(VENV) dist

# The virtual environment, installed anew when what it depends on changed.
$(VENV)/run: pyproject.toml scripts/install
	scripts/install run
	PYTHON=$(PYTHON) scripts/venv $(VENV) .
	touch $@

$(VENV)/test: pyproject.toml scripts/install
	scripts/install run test
	PYTHON=$(PYTHON) scripts/venv $(VENV) '.[test]'
	touch $@ $(VENV)/run

.PHONY: run test unit fuzz lint test-vm bpf bpf-check bench format clean
