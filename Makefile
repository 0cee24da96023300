# Everything by two commands: `make report` and `make test`. `make help` lists the rest.
CORES ?= $(shell nproc)
CONFIG ?=
PYTHON := .venv/bin/python
GRAPH_TOOL_PYTHON ?= /usr/bin/python3
PYTEST := $(PYTHON) -m pytest -n 2 --dist loadgroup
SNAKEMAKE := $(PYTHON) -m snakemake --cores $(CORES) $${CONFIG:+--configfile "$$CONFIG"}
export CONFIG

.PHONY: help setup setup-tests report figures supplement fetch plan why verify cost test test-all benchmark lint docs unlock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

setup: ## system packages (apt) and the virtual environment .venv
	@bash envs/setup.sh

setup-tests: ## the same, and Slurm for the tests
	@bash envs/setup.sh tests

report: setup unlock ## run the main job: results/report.html (CONFIG=file for another configuration)
	@$(SNAKEMAKE)

figures: setup unlock ## every figure as pdf, svg, png and csv, and the page that shows them all
	@$(SNAKEMAKE) -- figures

supplement: setup unlock ## page, figures, tables, exports, methods and records of CONFIG as one zip for a paper
	@$(SNAKEMAKE) -- supplement

fetch: setup ## bring the hub models and data sets of CONFIG to the cache: the only target that uses the network
	@$(SNAKEMAKE) -- fetch

plan: setup ## before anything runs: jobs, core hours, memory and disk by rule; refuses what cannot fit
	@$(PYTHON) workflow/plan.py $(if $(CONFIG),--configfile $(CONFIG))

why: setup ## in words, why each job of a run to come is stale: which key, which module, which file
	@$(PYTHON) workflow/why.py $(if $(CONFIG),--configfile $(CONFIG))

verify: setup ## whether every result was made by today's configuration and code
	@$(PYTHON) workflow/verify.py $(if $(CONFIG),--configfile $(CONFIG))

cost: setup ## time and memory of every step of the finished run
	@$(PYTHON) workflow/cost.py $(if $(CONFIG),--configfile $(CONFIG))

unlock: setup
	@test -z "$$CONFIG" || test -r "$$CONFIG" || { echo "CONFIG: no file $$CONFIG in $$PWD" >&2; exit 1; }
	@$(PYTHON) workflow/unlock.py

test: setup-tests lint ## format, types and all tests but the slow ones
	@$(PYTEST) -m "not slow"

test-all: setup-tests lint ## all tests
	@$(PYTEST)

lint: setup ## ruff, snakefmt, mypy, snakemake --lint
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m snakefmt --check Snakefile rules
	@$(PYTHON) -m mypy
	@$(PYTHON) -m snakemake --lint

benchmark: setup ## cost of the engine and of the stages, as ratios of one run
	@OMP_NUM_THREADS=1 $(PYTHON) benchmarks/engine.py
	@OMP_NUM_THREADS=1 $(PYTHON) benchmarks/recording.py
	@OMP_NUM_THREADS=1 $(PYTHON) benchmarks/covariance.py
	@OMP_NUM_THREADS=1 $(PYTHON) benchmarks/dictionaries.py
	@OMP_NUM_THREADS=1 $(GRAPH_TOOL_PYTHON) benchmarks/sbm.py
	@OMP_NUM_THREADS=1 $(PYTHON) benchmarks/sparse_sites.py --graph-tool $(GRAPH_TOOL_PYTHON)
	@OMP_NUM_THREADS=1 $(PYTHON) benchmarks/sizes.py --graph-tool $(GRAPH_TOOL_PYTHON)

docs: setup ## docs/stages: a page per stage, from the rules, the schema and the defaults
	@$(PYTHON) workflow/document.py

clean: ## delete results (the virtual environment stays)
	rm -rf results
