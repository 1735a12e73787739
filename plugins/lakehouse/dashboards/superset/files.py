"""The folder of a Superset's files, read for the sync.

`databases/`, `datasets/`, `charts/` and `dashboards/` are in Superset's own export format; `security/` and `alerts/` are ours,
because no export of Superset has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lakehouse.dashboards.superset import bundle
from lakehouse.dashboards.superset.lint import check
from lakehouse.dashboards.superset.normal import mask
from lakehouse.exceptions import ConfigurationError

_SHOWN = 20


def read_folder(folder: Path, variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The documents by path below `folder`, with `${NAME}` filled from `variables`.

    Raises:
        ConfigurationError: the lint has found errors; each is named with its file and line.
    """
    # A password that comes by a variable is no mistake of the file.
    masked = {name: mask(value) for name, value in variables.items()}
    read = bundle.read(folder, masked)
    errors = [str(finding) for finding in check(read, {}, ours=True) if finding.severity == "error"]
    if errors:
        more = [f"and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
        raise ConfigurationError("\n  ".join([f"{len(errors)} mistakes in the files; nothing was sent:", *errors[:_SHOWN], *more]))
    if masked != variables:
        read = bundle.read(folder, variables)
    return {document.path: document.data for document in read.documents}
