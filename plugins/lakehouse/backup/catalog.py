"""The catalog's metadata: of each table, where its newest metadata lies, and that metadata itself.

The tables' own files are the object store's to keep (docs/backup.md); this says whether a restored store is the one that was backed up.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from lakehouse.backup.compare import Compared
from lakehouse.backup.vault import Kept, Vault

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

PART = "catalog"


def back_up(catalog: Catalog, vault: Vault, backup: str) -> Kept:
    """Keep each table's metadata as it is now."""
    objects, lines = {}, []
    for name in _tables(catalog):
        table = catalog.load_table(name)
        snapshot = table.metadata.current_snapshot_id
        objects[name] = f"{table.metadata.table_uuid} at {snapshot}"
        metadata = json.loads(table.metadata.model_dump_json())
        lines.append(json.dumps({"table": name, "metadata_location": table.metadata_location, "metadata": metadata}))
    file = vault.keep(backup, "catalog.jsonl", io.BytesIO("\n".join(lines).encode()), secret=False)
    return Kept(PART, [file], objects)


def compare_catalog(catalog: Catalog, vault: Vault, backup: str) -> list[Compared]:
    """Whether each table is there, is the same, and still has the snapshot of then in its history, or has gone on from it."""
    compared, there = [], set(_tables(catalog))
    for name, kept in sorted(vault.part(backup, PART).objects.items()):
        restored = ""
        if name in there:
            metadata = catalog.load_table(name).metadata
            known = {str(snapshot.snapshot_id) for snapshot in metadata.snapshots}
            snapshot = kept.rpartition(" ")[2]
            restored = f"{metadata.table_uuid} at {snapshot if snapshot in known else metadata.current_snapshot_id}"
        compared.append(Compared(PART, name, kept, restored))
    return compared


def _tables(catalog: Catalog) -> list[str]:
    return sorted(".".join(name) for namespace in catalog.list_namespaces() for name in catalog.list_tables(namespace))
