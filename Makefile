# `make help` lists the commands. Settings: DATE=YYYY-MM-DD ROWS=1000000 PORT_OFFSET=0 STATE=var PYTHON=python3
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
STACK := var/venvs/stack/bin/python -m stack
DEV := var/venvs/dev/bin
export DATE ROWS PORT_OFFSET STATE PYTHON

UV_VERSION := 0.13.9
BOOTSTRAP := var/venvs/stack/.installed

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(BOOTSTRAP): requirements/stack.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if v in ((3, 11), (3, 12)) else f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}: set PYTHON=python3.11")'
	@echo "  making the stack tool's own environment ..."
	@test -x var/venvs/stack/bin/python || $(PYTHON) -m venv var/venvs/stack
	@var/venvs/stack/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@var/venvs/stack/bin/uv pip install --quiet --compile-bytecode --python var/venvs/stack/bin/python --requirement requirements/stack.txt
	@touch $@

run: $(BOOTSTRAP)  ## start everything, run the pipeline for DATE with ROWS ticks, report
	@$(STACK) run

up: $(BOOTSTRAP)  ## install and start the services
	@$(STACK) up

down: $(BOOTSTRAP)  ## stop the services
	@$(STACK) down

status: $(BOOTSTRAP)  ## which services run and answer
	@$(STACK) status

start: $(BOOTSTRAP)  ## start one service: SERVICE=trino
	@$(STACK) start $(SERVICE)

stop: $(BOOTSTRAP)  ## stop one service: SERVICE=trino
	@$(STACK) stop $(SERVICE)

logs: $(BOOTSTRAP)  ## follow a service's log: SERVICE=trino
	@$(STACK) logs $(SERVICE)

passwords: $(BOOTSTRAP)  ## show the users and passwords of this installation
	@$(STACK) passwords

clean: $(BOOTSTRAP)  ## stop the services and remove their state (downloads are kept)
	@$(STACK) clean
