# Every verb is `python -m curriculum VERB`; make only sees to it that the environment is there.
# Works with GNU make 3.81 (macOS) and later.

VERBS := check watch next list progress hint solution reset milestone lab energy neuroscope doctor \
         swap unswap reference-branch test verify stubs new bench picture curriculum-md
SETTINGS := PHASE MODULE STACK IMPL V JSON GIVE_UP FORCE FRESH NAME WIDTH ARGS

ifeq ($(OS),Windows_NT)
    PYTHON ?= python
    VENV_PYTHON := .venv/Scripts/python.exe
else
    PYTHON ?= python3
    VENV_PYTHON := .venv/bin/python
endif

# What was typed, and the four that people also export. Nothing else of the environment: NAME is set by some shells.
typed = $(filter command line environment,$(origin $(1)))
given = $(if $(filter command,$(call typed,$(1)))$(and $(filter PHASE MODULE STACK IMPL,$(1)),$(call typed,$(1))),"$(1)=$($(1))")

.PHONY: help lint format $(VERBS)
.DEFAULT_GOAL := help

help: .venv/ready
	@$(VENV_PYTHON) -m curriculum help

$(VERBS): .venv/ready
	@$(VENV_PYTHON) -m curriculum $@ $(foreach s,$(SETTINGS),$(call given,$(s)))

lint: .venv/ready
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .
	@$(VENV_PYTHON) -m mypy

format: .venv/ready
	@$(VENV_PYTHON) -m ruff check --fix .
	@$(VENV_PYTHON) -m ruff format .

.venv/ready: requirements.txt
	@$(PYTHON) curriculum/bootstrap.py

.DEFAULT:
	@$(MAKE) -s .venv/ready
	@$(VENV_PYTHON) -m curriculum $@
