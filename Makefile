# `make demo` and `make test` are the two commands of the README; `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
SERVE ?= 1
STS_DIR ?=
WORKSPACE ?=
PORT ?= 8501
# Processes that share the tests; each computes with one thread.
WORKERS ?= 2
# Minutes of each drill of kills and inputs.
MINUTES ?= 5
# Portable x86-64 build of llama.cpp: code for the exact CPU at hand (AMX above all) is killed in some virtual machines.
LLAMA_FLAGS ?= $(if $(filter x86_64,$(shell uname -m)),-DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON) $(if $(CUDA),-DGGML_CUDA=ON)
# CUDA=1: llama.cpp compiled for NVIDIA GPUs (needs nvcc), and the CUDA build of torch from its own lock.
CUDA ?=
CMAKE_ARGS := -DGGML_NATIVE=OFF $(LLAMA_FLAGS) -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAVA_BUILD=OFF
# Without sample_corpus, which writes the shipped corpus anew.
BENCHMARKS := generation generation_memory judges curation training behaviour pages embedding_map
RUN := $(VENV)/bin/python
WORKSPACE_FLAG := $(if $(WORKSPACE),--workspace "$(WORKSPACE)")

PYTEST = OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(WORKERS) --dist worksteal $(if $(filter 1,$(BROWSER)),,-m "not browser")

.PHONY: help demo run test drill install install-test lint format lock docs bench bench-gpu clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install  ## install, run the main job on the embedded models, print its table, serve the result
	$(RUN) -m workbench demo $(WORKSPACE_FLAG) $(if $(STS_DIR),--sts-dir "$(STS_DIR)")
	$(if $(filter 0,$(SERVE)),@true,$(RUN) -m workbench serve $(WORKSPACE_FLAG) --port $(PORT))

run: install  ## serve an existing workspace
	$(RUN) -m workbench serve $(WORKSPACE_FLAG) --port $(PORT)

install: $(VENV)/.installed  ## the environment in .venv, llama.cpp compiled for this kind of processor

# The lock has every package with its hashes, so that two machines get the same ones. torch alone is not in it: its CPU
# and CUDA builds share a version and not a file; the CUDA build has a lock of its own. llama.cpp comes last and tells
# what it compiles: the library alone, without the programs' part of parsers and a web server, two fifths of the files,
# which nothing calls from Python. llama-cpp-python switches that part on whatever CMAKE_ARGS say, hence the file.
$(VENV)/.installed: requirements.txt requirements.lock
	@$(PYTHON) workbench/preflight.py "$(CURDIR)"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --upgrade pip
	@awk '/^[^ ]/ {keep = !/^llama-cpp-python==/} keep' requirements.lock > $(VENV)/lock-wheels.txt
	@awk '/^[^ ]/ {keep = /^llama-cpp-python==/} keep' requirements.lock > $(VENV)/lock-compiled.txt
	$(RUN) -m pip install --no-deps --require-hashes -r $(VENV)/lock-wheels.txt
	$(RUN) -m pip install $(if $(CUDA),--no-deps --require-hashes -r requirements-cuda.lock,$$(grep ^torch== requirements.txt))
	@echo "llama.cpp is compiled now: one to five minutes."
	@settings=$$(mktemp) && echo 'set(LLAMA_BUILD_COMMON OFF)' > $$settings && \
	CMAKE_ARGS="$(CMAKE_ARGS) -DCMAKE_PROJECT_INCLUDE=$$settings" \
	  $(RUN) -m pip install --verbose --no-deps --require-hashes -r $(VENV)/lock-compiled.txt
	$(RUN) -m pip install --no-deps --editable .
	@touch $@

install-test: $(VENV)/.installed-test  ## the packages of the tests on top

$(VENV)/.installed-test: $(VENV)/.installed tests/requirements.txt
	$(RUN) -m pip install -r tests/requirements.txt -c requirements.txt
	@touch $@

test: install-test lint  ## its own set-up, then every test; BROWSER=1 installs chromium where it can
	$(if $(filter 1,$(BROWSER)),bash tests/install_browser.sh)
	$(PYTEST)

drill: install-test  ## the same tests at full length where `make test` runs a shorter version of them
	DRILL=1 DRILL_MINUTES=$(MINUTES) $(RUN) -m pytest -m drill

lint: install-test  ## ruff, its formatter and mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: install-test  ## sort imports and format
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

lock:  ## write requirements.lock and requirements-cuda.lock anew from requirements.txt; needs uv
	uv pip compile requirements.txt --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet \
	  | awk '/^[^ ]/ {file = "requirements" (/^(torch==|triton==|nvidia-|cuda-)/ ? "-cuda" : "") ".lock"} {print > file}'

docs: install  ## write the tables of docs/settings.md from the configs
	$(RUN) -m docs.make_settings

bench: install-test  ## every benchmark, each against its baseline in the same run; more of them with STS_DIR
	for name in $(BENCHMARKS); do echo "== $$name"; $(RUN) -m benchmarks.$$name || exit 1; done
	$(if $(STS_DIR),$(RUN) -m benchmarks.evaluation "$(STS_DIR)" && $(RUN) -m benchmarks.masking --sts-dir "$(STS_DIR)")

bench-gpu: install-test  ## generation and training on the first GPU, each against its baseline
	$(RUN) -m benchmarks.generation_gpu
	$(RUN) -m benchmarks.training_gpu

clean:  ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
