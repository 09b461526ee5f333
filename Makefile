# Sparring's commands; `make` alone lists them. Variables that users set:
#   PRESET=smoke|laptop|node|paper   size of a study (default: the study's own, laptop)
#   RESULTS=folder                   where tables and figures go (default: results)
#   DATA=folder                      IDX files of full MNIST; without it 5,000 images that ship with
#                                    a package are used, and nothing is downloaded
#   STUDY_ARGS="..."                 passed on to `harness run`, such as --retry or --set key=value
#   BENCH_ARGS="..."                 passed on to `sparring attack --benchmark`, such as --threads 1
#   EMULATE=32                       also emulate a scaling study on up to so many processes: real
#                                    messages, and ranks that sleep instead of computing
#   CHECKPOINT=file                  the trained network that `make gallery` attacks
#   SIMULATION_ARGS="..."            passed on to `experiments.simulation`, such as --processes 32
#   VIRTUAL_ARGS="..."               what `make virtual` trains (default: 1 to 32 processes, 3 seeds)
#   TORCH_INDEX=url                  a package index with CPU builds of PyTorch, tried first
PYTHON ?= python3
PRESET ?=
RESULTS ?= results
DATA ?=
STUDY_ARGS ?=
EMULATE ?=
CHECKPOINT ?=
BENCH_ARGS ?=
TORCH_INDEX ?=
SIMULATION_ARGS ?=
VIRTUAL_ARGS ?= -p 1 -p 2 -p 4 -p 8 -p 16 -p 32 --both --seed 0 --seed 1 --seed 2

# What users name, as one word of the shell, whatever is in it; $(value ...) leaves a $ alone.
shell_word = '$(subst ','\'',$(value $(1)))'
results := $(call shell_word,RESULTS)
data := $(call shell_word,DATA)
preset := $(call shell_word,PRESET)
emulate := $(call shell_word,EMULATE)
checkpoint := $(call shell_word,CHECKPOINT)
# Full MNIST where DATA names it, for the workloads.
with_data := $(if $(value DATA),SPARRING_DATA=$(data))
with_preset := $(if $(value PRESET),--preset $(preset))

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
PEERS := $(VENV)/.ready-peers
DOCS := $(VENV)/.ready-docs
# Tests of one file share what they compile: they stay together. Files begin in the order of
# tests/conftest.py; xdist's own has those of few tests last, however long they take.
PARALLEL := --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
# The libraries that attacks are compared with, and what these truly import that is not here already.
# Without --no-deps they would replace packages that Sparring uses and bring torchvision.
PEER_PACKAGES := adversarial-robustness-toolbox foolbox torchattacks \
  eagerpy gitdb GitPython six smmap tqdm pyautoattack

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev strong-scaling weak-scaling strategies staleness robustness gallery \
  openmp roofline simulation virtual report bench peers self-check test test-fast torture \
  test-without-compiler test-slurm test-browser package newcomer docs check format clean

help:
	@echo "make strong-scaling   the same training on more and more processes: table and figure"
	@echo "make weak-scaling     work that grows with the processes: table and figure"
	@echo "make strategies       every strategy and variation of the pipeline, side by side"
	@echo "make staleness        how old batches are, and what that costs"
	@echo "make robustness       does parallel training cost robustness? Paired by seed: verdicts, figure"
	@echo "make gallery CHECKPOINT=file   pictures of adversaries before and after training"
	@echo "make openmp           threads inside operators, between them, and processes instead"
	@echo "make roofline         the kernels under this machine's roofs, and under the study's node's"
	@echo "make simulation       how far each strategy scales, on described machines: table and figure"
	@echo "make virtual          the models that 1 to 32 processes would have trained, beside the study's"
	@echo "make report           one HTML page from all tables in "$(results)
	@echo "make bench            the speed of attacks, updates and iterations, beside other libraries'"
	@echo "make peers            install those libraries"
	@echo "make test             the tests"
	@echo "make test-fast        those that take little time and start no ranks"
	@echo "make test-without-compiler   the library's, on PyTorch's kernels"
	@echo "make torture          runs killed, starved and lied to, and what that costs: one table"
	@echo "make test-slurm       those that start a Slurm cluster (root; Debian: slurm-wlm, munge)"
	@echo "make test-browser     those that read the report in Chromium (Debian: chromium; or CHROMIUM=program)"
	@echo "make package          wheel and sdist in dist/, each installed in a clean environment and tried"
	@echo "make newcomer         the README's tasks in a fresh clone, each command timed (preset smoke)"
	@echo "make docs             the documents and the library's reference as a site, in build/site"
	@echo "make self-check       the harness compares a code with itself: how many false alarms?"
	@echo "make check            lint, formatting, types"
	@echo "make setup            only the virtual environment (.venv)"
	@echo "Variables: PRESET, RESULTS, DATA, EMULATE, STUDY_ARGS, BENCH_ARGS, TORCH_INDEX (see the head of the Makefile)"

# A mistyped target.
.DEFAULT:
	@echo "error: there is no target '$@'; \`make\` lists all" >&2; exit 2

setup: $(READY)
setup-dev: $(DEV)
peers: $(PEERS)

# PyTorch first and by itself: its CPU build comes from an index of its own.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is no Python 3.11 or newer; expected one: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "Setting up $(VENV) (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@$(PIP) --editable '.[all]'
	@touch $@

$(DEV): $(READY)
	@$(PIP) --editable '.[all,dev]'
	@touch $@

$(PEERS): $(READY)
	@$(PIP) --no-deps $(PEER_PACKAGES)
	@touch $@

$(DOCS): $(READY)
	@$(PIP) --editable '.[all,docs]'
	@touch $@

# $(1): the study's name; $(2): the command of plots that draws it; $(3): one that draws it too, where
# it has what that needs (exit code 2: it has not). Figures are drawn also when points failed; the exit
# code tells of it.
define run-study
	@test -z $(data) || test -d $(data) || { \
	  printf 'error: DATA=%s: no such folder; expected one with the four IDX files of MNIST\n' \
	    $(data) >&2; exit 2; }
	@code=0; \
	$(with_data) $(BIN)/python -m harness run experiments/$(1).toml \
	  --results $(results) $(with_preset) $(if $(value DATA),--set dataset=mnist) \
	  $(if $(value EMULATE),--emulate $(emulate)) $(STUDY_ARGS) || code=$$?; \
	if [ $$code -le 1 ]; then \
	  $(BIN)/python -m plots $(2) $(results)/$(1).csv || code=$$?; \
	  $(if $(3),$(BIN)/python -m plots $(3) $(results)/$(1).csv || \
	    { told=$$?; test $$told -eq 2 || code=$$told; };) \
	fi; \
	exit $$code
endef

strong-scaling: $(READY)
	$(call run-study,strong_scaling,scaling,tradeoff)

weak-scaling: $(READY)
	$(call run-study,weak_scaling,scaling)

strategies: $(READY)
	$(call run-study,strategies,scaling,tradeoff)

staleness: $(READY)
	$(call run-study,staleness,staleness)

robustness: $(READY)
	$(call run-study,robustness,robustness)

openmp: $(READY)
	$(call run-study,openmp,openmp)

# A table is not overwritten: remove it to draw another network's pictures.
gallery: $(READY)
	@test -n $(checkpoint) || { \
	  echo "error: name a checkpoint: make gallery CHECKPOINT=results/checkpoints/....pt" >&2; exit 2; }
	@test -e $(results)/gallery.csv || $(with_data) \
	  $(BIN)/python -m sparring gallery $(checkpoint) --out $(results)/gallery.csv
	@$(BIN)/python -m plots gallery $(results)/gallery.csv

# Roofs that are not in the folder yet are measured; what was simulated before is read again.
# Where a point lies above its roof, it is drawn all the same, and the command fails.
roofline: $(READY)
	@$(BIN)/python -m kernels stages --results $(results)
	@$(BIN)/python -m kernels measure --machine here --machine e5-2683v4 \
	  $(with_preset) --results $(results); status=$$?; \
	$(BIN)/python -m kernels machines --out $(results)/machines.csv && \
	$(if $(filter smoke,$(value PRESET)),:,$(BIN)/python -m kernels predict \
	  --machine e5-2683v4 --results $(results)) && \
	$(BIN)/python -m plots roofline $(results)/roofline.csv && exit $$status

# Machines are described in experiments/simulation.toml; this one's calibration is the newest in
# the folder's calibration/, if `python -m sparring calibrate` has made one.
simulation: $(READY)
	@$(BIN)/python -m experiments.simulation --results $(results) $(SIMULATION_ARGS)
	@$(BIN)/python -m plots simulation $(results)/simulation.csv

# Points that the table has are not trained again.
virtual: $(READY)
	@$(with_data) $(BIN)/python -m experiments.virtual \
	  $(if $(value DATA),--dataset mnist) $(VIRTUAL_ARGS) --out $(results)/virtual.csv
	@$(BIN)/python -m plots virtual $(results)/virtual.csv

report: $(READY)
	@$(BIN)/python -m plots report $(results)

# Competitors that are not installed are named and left out; `make peers` installs them. Every run of
# the small benchmarks becomes a numbered file, and the attack's is added to a table.
bench: $(DEV)
	@$(BIN)/python -m pytest benchmarks --quiet --benchmark-autosave --benchmark-compare \
	  --benchmark-storage=file://$(results)/benchmarks \
	  --benchmark-columns=min,median,iqr,rounds
	@$(with_data) $(BIN)/python -m sparring attack --benchmark \
	  $(if $(findstring --task,$(BENCH_ARGS)),,--task attack --task update --task iteration) \
	  --results $(results) $(with_preset) $(if $(value DATA),--dataset mnist) \
	  $(BENCH_ARGS)
	@$(BIN)/python -m plots attack-benchmark $(results)/attack_benchmark.csv

# Tests on a Slurm cluster of their own need root and Slurm's daemons: a target of its own.
# What starts no ranks runs on all cores at once. Ranks are several processes a test, which wait for
# each other and for their programs to start: two such tests at a time, however many cores there are
# (each begins at the first of them). Where times are looked at, a test is alone. Python may keep the
# tests' modules as it compiled them, of which every worker reads all.
test: $(DEV)
	@code=0; unset PYTHONDONTWRITEBYTECODE; \
	$(BIN)/python -m pytest -m "not slurm and not browser and not ranks" $(PARALLEL) || code=$$?; \
	$(BIN)/python -m pytest -m "not slurm and not browser and ranks and not alone" \
	  --numprocesses 2 --dist loadfile || code=$$?; \
	$(BIN)/python -m pytest -m alone $$(grep -rl --include='*.py' 'mark\.alone' tests) || code=$$?; \
	exit $$code

# For who edits: neither ranks nor what takes long.
test-fast: $(DEV)
	@$(BIN)/python -m pytest -m "not slurm and not browser and not ranks and not slow" $(PARALLEL)

# The library on PyTorch's kernels, as where there is no C++ compiler. `test_fused*` test the engine.
test-without-compiler: $(DEV)
	@code=0; export CXX=no-compiler; \
	tests="tests/sparring tests/examples --ignore-glob=*test_fused*"; \
	$(BIN)/python -m pytest -m "not compiler and not ranks" $(PARALLEL) $$tests || code=$$?; \
	$(BIN)/python -m pytest -m "not compiler and ranks" $$tests || code=$$?; \
	exit $$code

self-check: $(READY)
	@$(BIN)/python -m harness self-check --results $(results)

# Takes half an hour; PRESET=smoke some minutes.
torture: $(DEV)
	@SPARRING_EXAMPLES=2000 $(BIN)/python -m pytest --quiet tests/harness/study/test_fuzz.py
	@$(BIN)/python -m tests.torture $(with_preset)

test-slurm: $(DEV)
	@$(BIN)/python -m pytest -m slurm tests/slurm

test-browser: $(DEV)
	@$(BIN)/python -m pytest -m browser tests/browser

# Each is installed by itself, with what pip takes for it, and tried outside this folder.
package: $(DEV)
	@$(BIN)/python tests/package.py dist

# With an environment of its own; NEWCOMER_ARGS="--environment .venv" takes this one.
newcomer:
	@$(PYTHON) tests/newcomer.py $(NEWCOMER_ARGS)

# A link that leads nowhere is an error.
docs: $(DOCS)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "wrote build/site/index.html"

check: $(DEV)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(DEV)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
