# `make help` lists the commands. Settings: CATALOG=rest|hive DATE=YYYY-MM-DD ROWS=1000000 PORT_OFFSET=0 STATE=var PYTHON=python3 SCALE=yes|no
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
STACK := var/venvs/stack/bin/python -m stack
DEV := var/venvs/dev/bin
export CATALOG DATE ROWS PORT_OFFSET STATE PYTHON SCALE

UV_VERSION := 0.13.9
BOOTSTRAP := var/venvs/stack/.installed

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'
	@sed -n '1s/.*Settings/  settings/p' $(firstword $(MAKEFILE_LIST))

$(BOOTSTRAP): requirements/stack.txt
	@command -v $(PYTHON) >/dev/null || { echo "there is no $(PYTHON): install Python 3.11 or 3.12 and set PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if v in ((3, 11), (3, 12)) else "Python 3.11 or 3.12 is needed, this is %d.%d: set PYTHON=python3.11" % v)'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make environments: apt-get install python3-venv"; exit 1; }
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
	@$(STACK) start $(or $(SERVICE),$(error which one? make start SERVICE=trino))

stop: $(BOOTSTRAP)  ## stop one service: SERVICE=trino
	@$(STACK) stop $(or $(SERVICE),$(error which one? make stop SERVICE=trino))

logs: $(BOOTSTRAP)  ## follow a service's log: SERVICE=trino
	@$(STACK) logs $(or $(SERVICE),$(error which one? make logs SERVICE=trino))

passwords: $(BOOTSTRAP)  ## show the users and passwords of this installation
	@$(STACK) passwords

rotate: $(BOOTSTRAP)  ## a new password, key or certificate: SECRET=S3_SECRET_KEY (SECRET=? lists them)
	@$(STACK) rotate $(or $(SECRET),?)

env: $(BOOTSTRAP)  ## write .env and var/compose for `docker compose up`: SCALE=yes CATALOG=hive
	@$(STACK) env

restore: $(BOOTSTRAP)  ## bring a back-up back and compare it: BACKUP=20261124T030000Z (default: the newest) REPLACE=yes over what is there
	@$(STACK) restore $(if $(BACKUP),--backup $(BACKUP)) $(if $(filter yes,$(REPLACE)),--replace)

clean: $(BOOTSTRAP)  ## stop the services and remove their state (software and downloads are kept)
	@$(STACK) clean

dev: $(BOOTSTRAP)  ## make the development environment in var/venvs/dev
	@$(STACK) dev-environment

fmt: dev  ## format the code
	@$(DEV)/ruff check --fix --quiet . || true
	@$(DEV)/ruff format .

lint: dev  ## check style, types and folder rules
	@$(DEV)/ruff check .
	@$(DEV)/ruff format --check .
	@$(DEV)/mypy
	@PYTHONPATH=. $(DEV)/lint-imports

CONTRACTS := $(DEV)/python -m lakehouse.contracts.lint include/contracts plugins/lakehouse/ops/contracts --docs docs/tables

BOARDS := $(DEV)/python -m lakehouse.dashboards lint include/dashboards/superset include/dashboards/grafana --variable TRINO_URI \
          --contracts include/contracts --contracts plugins/lakehouse/ops/contracts

CATALOGUE := AIRFLOW_HOME=$(abspath var/catalogue) $(DEV)/python -m lakehouse_provider.catalogue . docs/dags.md

SILENCES := $(DEV)/python -m lakehouse.incidents include/silences.yaml

PROMTOOL := var/software/prometheus/usr/bin/promtool
RULES := $(PROMTOOL) check rules --lint=all --lint-fatal include/prometheus/*.yml && $(PROMTOOL) test rules include/prometheus/tests/*.yml

rules: $(BOOTSTRAP)  ## check and test Prometheus's rules, offline
	@test -x $(PROMTOOL) || $(STACK) install
	@$(RULES)

lint-content: dev  ## check contracts, their pages, the page of DAGs, boards, and silences, offline
	@$(CONTRACTS)
	@$(BOARDS)
	@$(SILENCES)
	@$(CATALOGUE)

panels: dev  ## ask the running stack every query of Grafana's boards and alert rules, and list the answers
	@PYTHONPATH=. $(DEV)/python -m tests.grafana.panels

lineage: dev  ## print who read and wrote what, as a Mermaid flowchart, from the events of the last 30 days
	@$(DEV)/python -m lakehouse_provider.lineage $(or $(STATE),var)/data/lineage

tables: dev  ## write docs/tables from the contracts, and docs/dags.md from the DAGs
	@$(CONTRACTS) --write
	@$(CATALOGUE) --write

UNIT := PYTHONPATH=. $(DEV)/pytest -q tests -m "not integration and not browser and not hive and not restore and not scale_out"
TESTS := STATE=var/test PORT_OFFSET=12000 CATALOG=rest
HIVE_TESTS := STATE=var/test-hive PORT_OFFSET=6000 CATALOG=hive

unit: dev  ## tests that need no service, two minutes
	@$(UNIT)

test: dev  ## everything: style, types, layers, unit, DAG, integration and browser tests
	@$(STACK) browser
	@$(TESTS) $(STACK) clean
	@$(HIVE_TESTS) $(STACK) clean
	@$(DEV)/python tests/parts.py \
	  'lint=$(DEV)/ruff check . && $(DEV)/ruff format --check .' \
	  'types=$(DEV)/mypy' \
	  'layers=PYTHONPATH=. $(DEV)/lint-imports' \
	  'content=$(CONTRACTS) && $(BOARDS) && $(SILENCES) && $(CATALOGUE)' \
	  'unit=$(UNIT) --ignore=tests/dags' \
	  'dags=PYTHONPATH=. $(DEV)/pytest -q tests/dags -m "not integration"' \
	  'stack=$(TESTS) $(STACK) up' \
	  'rules=test ! -x $(PROMTOOL) || { $(RULES); }' \
	  'integration=PYTHONPATH=. $(DEV)/pytest -q tests -m "integration and not drill" --durations=10' \
	  'browser=PYTHONPATH=. $(DEV)/pytest -q tests -m browser' \
	  'restore=PYTHONPATH=. $(DEV)/pytest -q tests -m restore' \
	  'stop=$(TESTS) $(STACK) down' \
	  'hive=PYTHONPATH=. $(DEV)/pytest -q tests -m hive' \
	  'hive-stop=$(HIVE_TESTS) $(STACK) down'

faults: dev  ## every fault and drill on real servers, an hour; ends with a line for each row of docs/faults.md
	@PYTHONPATH=. $(DEV)/pytest -q tests -m "fault or drill"

drill: $(BOOTSTRAP)  ## break the running stack, see what on-call gets, heal it: FAULT=trino_down (FAULT=? lists them)
	@$(STACK) drill $(or $(FAULT),?)

scale-out: dev  ## run the pipeline in one process each, and with two of each; the counts have to be equal; 15 minutes
	@PYTHONPATH=. $(DEV)/pytest -q tests -m scale_out

grafana-conformance: dev  ## prove Grafana's rules on a real one: GRAFANA_URL=… GRAFANA_TOKEN=…
	@PYTHONPATH=. $(DEV)/pytest -q tests/grafana -k conformance -rs

bench: dev  ## our jobs beside their rivals: PART=bronze|ship|images|gallery|dashboards|quality|airflow
	@$(STACK) up
	@PYTHONPATH=. $(DEV)/python -m bench $(PART)

LOCK := var/venvs/stack/bin/uv pip compile --quiet --universal --python-version 3.11 \
        --custom-compile-command "make lock" --override requirements/overrides.txt

lock: $(BOOTSTRAP)  ## compile the lock files from requirements/*.in
	@$(LOCK) requirements/runtime.in -o requirements.txt
	@for name in stack superset gallery dev; do $(LOCK) requirements/$$name.in -o requirements/$$name.txt; done

.PHONY: help run up down status start stop logs passwords rotate env restore clean dev fmt lint lint-content rules lineage tables unit test panels scale-out grafana-conformance bench lock faults drill
