# Two commands: `make demo` runs the main job on real input, `make test` passes the tests.
# Both set everything up on a fresh Debian machine with Python 3.11.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SERVICES := bubblewrap
TEST_SERVICES := $(SERVICES) radosgw ceph-mon ceph-osd ceph-common uuid-runtime postgresql redis-server

.PHONY: demo test test-all lint types check setup system test-system clean
.PHONY: bench-abuse bench-backdoor bench-drift bench-evasion bench-extraction bench-gateway
.PHONY: bench-nightly bench-onboarding bench-poisoning bench-privacy bench-scan fuzz-scan

demo: system $(STAMP)
	$(BIN)/proofhouse demo --out demo-output

test: test-system $(STAMP)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# With those that cost minutes and say little that a shorter one does not.
test-all: test-system $(STAMP)
	PROOFHOUSE_TEST_ALL=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: lint types test

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# PROOFHOUSE_TEST_DATA names the folder with location30.npz.
bench-privacy: $(STAMP)
	$(BIN)/python -m tests.benchmarks.bench_privacy

setup: $(STAMP)

# Every pin is in constraints.txt, so nothing needs to be resolved. uv unpacks them in seconds, where
# pip takes minutes; pip gets what uv was not asked for (torch, of which a machine may hold a build of
# its own that only pip knows) and, where uv reaches no index, all. Compiled on all cores, without the
# packages' own tests and some that programs here seldom import; a few packages ship files for other
# Pythons, which do not compile and do not matter.
UV := uv==0.13.9
SELDOM := moto|databricks|pip|setuptools|mypy|mypyc|altair|fontTools|torch/testing
$(STAMP): constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed")'
	$(PYTHON) -m venv $(VENV)
	{ $(BIN)/pip install --quiet --no-deps $(UV) && grep -v '^torch==' constraints.txt | \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r -; } || \
	  echo 'uv reached no packages; pip fetches all, which takes longer' >&2
	$(BIN)/pip install --quiet --no-deps --no-compile -r constraints.txt
	$(BIN)/python -m compileall -qq -j 0 -x '/(tests?|$(SELDOM))/' $(VENV)/lib || true
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m tasks.prepared_database
	touch $@

system:
	@sh infra/system-packages.sh $(SERVICES)

test-system:
	@sh infra/system-packages.sh $(TEST_SERVICES)

bench-onboarding: $(STAMP)
	$(BIN)/python -m tests.benchmarks.bench_onboarding

bench-nightly: $(STAMP)
	$(BIN)/python -m tests.benchmarks.bench_nightly

bench-evasion: $(STAMP)
	$(BIN)/python -m tests.benchmarks.bench_evasion

bench-extraction: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_extraction

# With PROOFHOUSE_TEST_DATA also on MNIST and with real arrival times.
bench-abuse: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_abuse

bench-gateway: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_gateway

# Scans some 260 small models and five public ones: an hour on an idle core. A run that was stopped
# goes on. PROOFHOUSE_TEST_DATA names the folder with mnist.npz, cifar10_jpeg_12k.npz and models/.
bench-backdoor: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_backdoor --work /tmp/backdoor-zoo.jsonl

# PROOFHOUSE_TEST_DATA names the folder with sea_drift.npz and elec2.parquet;
# PROOFHOUSE_PEERS__EVIDENTLY the python of an environment with evidently.
bench-drift: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_drift $(PARTS)

# PROOFHOUSE_TEST_DATA names the folder with mnist.npz, cifar10_jpeg_12k.npz and adult.parquet.
bench-poisoning: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_poisoning

bench-scan: $(STAMP)
	$(BIN)/python -m tests.benchmarks.bench_scan

# Seconds for each of the scanner's parsers; needs `pip install atheris` (extra: fuzz).
SECONDS ?= 120
fuzz-scan: $(STAMP)
	$(BIN)/python -m tests.tasks.scanners.fuzz_parsers --seconds $(SECONDS)

clean:
	rm -rf $(VENV) demo-output .proofhouse .pytest_cache .mypy_cache .ruff_cache
