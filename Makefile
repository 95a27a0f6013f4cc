.PHONY: demo test test-faults test-kernels bench bench-setup install check clean

# Record a real program and show what its functions did.
demo: install
	@scripts/demo

# The whole test suite; TESTS=tests/unit/test_x.py for a part of it.
TESTS ?= tests
test: .venv/.ready-test
	.venv/bin/python -m pytest -q -n 2 --dist loadgroup $(TESTS)

# The fault tests with their full counts: 50 kills, 1,000 mutations of each kind of file, and so on.
test-faults: .venv/.ready-test
	FUNCSNOOP_FAULT_RUNS=50 .venv/bin/python -m pytest -q --timeout 1800 $(or $(FAULTS),tests/faults)

# BPF tests on older kernels, in an emulator: about an hour. Not part of `make test`.
test-kernels: .venv/.ready-test
	scripts/test-kernels $(KERNELS)

# What a call costs beside other tools, attaching, analysing; ARGS="--rounds 3 --json bench.json ...".
bench: .venv/.ready-test
	.venv/bin/python benchmarks/run.py $(ARGS)

# The other tools: bpftrace, perf, bcc's, uftrace, and a large library to attach to.
bench-setup:
	scripts/setup bench

# Leaves .venv/bin/funcsnoop.
install: .venv/.ready-run

check: .venv/.ready-test
	scripts/check

.venv/.ready-run: pyproject.toml scripts/setup $(wildcard analyze/walk/*.[ch])
	scripts/setup run

.venv/.ready-test: pyproject.toml scripts/setup tests/interop/node/package-lock.json $(wildcard analyze/walk/*.[ch]) | .venv/.ready-run
	scripts/setup test

clean:
	rm -rf .venv build dist *.egg-info demo.parquet
