"""`python -m lakehouse_provider.catalogue BUNDLE PAGE [--write]`: the page of all DAGs, from the DAGs themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lakehouse_provider.notifiers import key_of

_HEAD = """# DAGs
Generated from the DAGs by `make tables`; do not edit. Times are UTC. Every DAG's own page in Airflow says what it reads and
writes, and what on-call does.

| DAG | what it does | starts | makes | late after | runbook |
| --- | --- | --- | --- | --- | --- |
"""


def render(dags: dict[str, Any]) -> str:
    """The page: a table of the DAGs, then the params and tasks of each."""
    rows = [_row(dag) for _, dag in sorted(dags.items())]
    details = [_details(dag) for _, dag in sorted(dags.items())]
    return _HEAD + "\n".join(rows) + "\n\n" + "\n".join(details)


def _row(dag: Any) -> str:
    what = str(dag.doc_md).split("\n", 1)[1].strip().split(". ")[0].replace("\n", " ").rstrip(".:")
    assets = sorted({outlet.name for task in dag.tasks for outlet in task.outlets})
    late = next((alert.interval for alert in dag.deadline or [] if alert.callback.kwargs["breach"]), None)
    minutes = f"{late.total_seconds() / 60:.0f} min" if late else ""
    cells = [
        f"`{dag.dag_id}`",
        what,
        _starts(dag),
        ", ".join(f"`{name}`" for name in assets),
        minutes,
        f"[runbook](runbooks/{dag.dag_id}.md)",
    ]
    return f"| {' | '.join(cells)} |"


def _starts(dag: Any) -> str:
    waits = [f"`{asset.name}`" for asset in getattr(dag.timetable.asset_condition, "objects", [])]
    cron = getattr(dag.timetable, "expression", None) or getattr(getattr(dag.timetable, "timetable", None), "expression", None)
    return " or ".join(([f"after {', '.join(waits)}"] if waits else []) + ([f"`{cron}`"] if cron else [])) or "by hand"


def _details(dag: Any) -> str:
    lines = [f"## {dag.dag_id}", f"Incidents are those of `{key_of(dag)}`."]
    if dag.params:
        lines += ["", "| param | default | what it does |", "| --- | --- | --- |"]
        for name in dag.params:
            param = dag.params.get_param(name)
            default = "must be given" if type(param.value).__name__ == "ArgNotSet" else f"`{param.value!r}`"
            lines.append(f"| `{name}` | {default} | {_cell(param.description or '')} |")
    lines += [
        "",
        "Tasks: "
        + ", ".join(f"`{task.task_id}`" + (f" (pool `{task.pool}`)" if task.pool != "default_pool" else "") for task in dag.tasks),
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(bundle: Path, page: Path, *, write: bool) -> int:
    """Returns 1 if the page is not what the DAGs say, or a DAG cannot be parsed."""
    from airflow.dag_processing.dagbag import DagBag

    sys.path.append(str(bundle))
    bag = DagBag(dag_folder=str(bundle), bundle_path=bundle, bundle_name="catalogue")
    for place, error in bag.import_errors.items():
        sys.stderr.write(f"{place}: {error.strip().splitlines()[-1]}\n")
    text = render(bag.dags)
    if write and not bag.import_errors:
        page.write_text(text)
    same = page.exists() and page.read_text() == text
    if not same:
        sys.stderr.write(f"{page} is not what the DAGs say: run `make tables`\n")
    return 0 if same and not bag.import_errors else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]), write="--write" in sys.argv))
