# make needs Python 3.11 or newer; everything else goes into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# What is said as KEY=VALUE goes on to the command: make table2 paths.data=FOLDER n_jobs=2
OURS = $(filter-out ARGS=% PYTHON=% VENV=%,$(subst \ ,<space>,$(MAKEOVERRIDES)))
OVERRIDES = $(subst <space>,\ ,$(OURS)) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help install quickstart test lint format bench wheel sklearn-extra chromium clean \
  paper paper-mobilenet fixed tables figures \
  table1 table2 table3 table4 table5 table6 tableA1 tableA2 tableA3 tableA5 sectionA5 gain_over_nc1 \
  figure2 figure5 figure6 figure7 figure8 figure9 figure10 figure11 figure11a figure11b figure12 runtimes \
  figureA1 figureA2 figureA3 figureA4 figureA6 figureA6a figureA6b figureA7

help:  ## Show this list
	@grep -E '^[A-Za-z0-9_ -]+:.*## ' $(MAKEFILE_LIST) \
	  | awk -F ':.*## ' '{split($$1, names, " "); printf "  make %-16s %s\n", names[1], $$2}'

install: $(VENV)/.installed  ## Create .venv with the pinned dependencies

quickstart: install  ## Run the main job on handwritten digits; ends with a table and a report
	$(BIN)/python -m imprint_bench +sweep=quickstart $(ARGS)

paper: install  ## Run the IMPRINT paper's study; all its tables and figures (paths.data=FOLDER)
	$(BIN)/python -m imprint_bench +study=paper $(OVERRIDES)

paper-mobilenet: install  ## The same with four small networks; makes results/mobilenet_v1 (paths.data=FOLDER)
	$(BIN)/python -m imprint_bench +study=mobilenet_v1 paths.reports=results $(OVERRIDES)

fixed: install  ## Train towards fixed last layers at reduced scale; makes results/fixed (paths.data=FOLDER)
	$(BIN)/python -m imprint_bench +study=fixed paths.reports=results $(OVERRIDES)

tables: install  ## All tables of the paper, from the rows in the store (ARGS=+study=mobilenet_v1: of our study)
	$(BIN)/python -m imprint_bench $(if $(findstring +study,$(OVERRIDES)),,+study=paper) stages=[report] figure=[] $(OVERRIDES)

figures: install  ## All figures of the paper, from the rows in the store
	$(BIN)/python -m imprint_bench $(if $(findstring +study,$(OVERRIDES)),,+study=paper) stages=[report] table=[] $(OVERRIDES)

table2 table1 table3 table4 table5 table6 tableA1 tableA2 tableA3 tableA5 sectionA5 gain_over_nc1: install  ## One table from the rows in the store; also table1 to table6, tableA1, A2, A3, A5, sectionA5
	$(BIN)/python -m imprint_bench stages=[report] table=[$@] $(OVERRIDES)

figure2 figure5 figure6 figure7 figure8 figure9 figure10 figure11a figure11b figure12 runtimes: install  ## One figure from the rows in the store; also figure5 to figure12, figureA1 to figureA7, runtimes
	$(BIN)/python -m imprint_bench stages=[report] figure=[$@] $(OVERRIDES)

figureA1 figureA2 figureA3 figureA4 figureA6a figureA6b figureA7: install
	$(BIN)/python -m imprint_bench stages=[report] figure=[$@] $(OVERRIDES)

figure11 figureA6: install
	$(BIN)/python -m imprint_bench stages=[report] figure=[$@a,$@b] $(OVERRIDES)

test: $(VENV)/.tested  ## Run the tests (ARGS="-k name" selects some)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: $(VENV)/.tested  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.tested  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## Measure the engine and write benchmarks/README.md (ARGS=--help, ARGS=--quick)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks $(ARGS)

wheel: $(VENV)/.tested  ## Build the wheel into dist/
	$(BIN)/python -m build --wheel

sklearn-extra: $(VENV)/.tested  ## Build scikit-learn-extra against numpy 2 (needs a C compiler)
	$(BIN)/pip install -q --no-cache-dir --no-deps --no-build-isolation \
	  --no-binary scikit-learn-extra scikit-learn-extra==0.3.0

chromium:  ## Install Debian's Chromium, which the tests of the report page open
	@command -v chromium || command -v google-chrome || { \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update && $$sudo apt-get install -y --no-install-recommends chromium; }

clean:  ## Remove .venv and what tools left behind; results/ stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "needs Python 3.11 or newer; choose one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[litert,jpeg]'
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,kmedoids,dask,slurm,fast,safetensors,timm]'
	touch $@
