"""A contract as a page for people."""

from __future__ import annotations

from pathlib import Path

from lakehouse.contracts.contract import Contract


def to_markdown(contract: Contract, source: Path) -> str:
    """The table's page: columns, layout, rules and promises."""
    lines = [
        f"<!-- Generated from {source.as_posix()} by `make tables`; change the contract, not this page. -->",
        f"# {contract.table}",
        contract.description,
        "",
        "| column | type | required | description | class |",
        "| --- | --- | --- | --- | --- |",
    ]
    for column in contract.columns:
        name = f"{column.name} (key)" if column.name in contract.primary_key else column.name
        lines.append(
            f"| {name} | {column.type} | {'yes' if column.required else ''} | {_cell(column.description)} | {column.classification or ''} |"
        )
    lines += ["", "## Layout", f"Partitioned by {_list(contract.partitioning)}; sorted by {_list(contract.sort_order)}.", ""]
    lines += ["| property | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in sorted(contract.properties.items()))]
    lines += ["", "## Rules"]
    if contract.checks:
        lines += ["| rule | severity | what must hold | measured |", "| --- | --- | --- | --- |"]
    for check in contract.checks:
        measured = check.metric or check.measure or "own query"
        where = f" of {check.column}" if check.column else " of each partition" if check.per_partition else ""
        lines.append(f"| {check.check_id} | {check.severity} | {_cell(check.description)} | {measured}{where} {check.wanted} |")
    if not contract.checks:
        lines.append("None of its own.")
    lines += ["", "## Promises"]
    if contract.freshness_hours is not None:
        lines.append(f"- Fresh: the newest {contract.freshness_column} is at most {contract.freshness_hours:g} hours old.")
    if contract.retention_days is not None:
        lines.append(f"- Kept for {contract.retention_days} days.")
    lines.append(f"- At most {contract.refused_threshold:.0%} of a run's inputs may be refused.")
    if contract.runbook:
        lines.append(f"- Runbook: [{Path(contract.runbook).stem}](../../{Path(contract.runbook).as_posix()})")
    return "\n".join(lines) + "\n"


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\r", " ").replace("\n", " ")
