"""Data sources.

Source: grafana/grafana, `pkg/api/datasources.go`, `pkg/services/datasources/models.go`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

from lakehouse.dashboards.grafana.client import GrafanaClient
from lakehouse.dashboards.grafana.part import GrafanaPart, without
from lakehouse.dashboards.objects import Document, Key, Live, Wanted

# Numbers of this server, and what follows from the rest.
_OF_THE_SERVER = ("id", "orgId", "version", "readOnly", "typeLogoUrl", "accessControl", "apiVersion", "secureJsonFields")


class DataSources(GrafanaPart):
    """Data sources by uid.

    Args:
        secrets: by key, the passwords and certificates, which Grafana never shows again.
    """

    kind = "data_sources"

    def __init__(self, client: GrafanaClient, secrets: Mapping[Key, Mapping[str, str]]) -> None:
        super().__init__(client)
        self._secrets = secrets
        self._fields: dict[str, set[str]] = {}

    def read(self, identifier: str) -> Live | None:
        """A data source; of its secrets only which there are."""
        found = self._client.get(f"/api/datasources/uid/{quote(identifier, safe='')}")
        if found is None:
            return None
        self._versions[identifier] = found.get("version")
        url = f"{self._client.public_url}/connections/datasources/edit/{identifier}"
        locked = "provisioned from a file of the server" if found.get("readOnly") else ""
        fields = self._fields[identifier] = {name for name, there in (found.get("secureJsonFields") or {}).items() if there}
        content = without(found, _OF_THE_SERVER) | {"secrets": sorted(fields)}
        return Live(content, found["name"], url, version=str(found.get("version", "")), locked=locked)

    def put(self, key: Key, document: Document) -> None:
        """Create one, or write over it.

        A secret that is not sent stays as it is; an empty one counts as none (`pkg/api/datasources.go`, `convertModelToDtos`).
        """
        known = self._secrets.get(key, {})
        body = {**without(document, ["secrets"]), "secureJsonData": dict(known)}
        if key.id in self._versions:
            body["version"] = self._versions[key.id]
            body["secureJsonData"] |= dict.fromkeys(self._fields[key.id] - set(document["secrets"]), "")
            self._client.request("PUT", f"/api/datasources/uid/{quote(key.id, safe='')}", json=body)
        else:
            self._client.request("POST", "/api/datasources", json=body)

    def delete(self, key: Key) -> None:
        """Remove one."""
        self._client.request("DELETE", f"/api/datasources/uid/{quote(key.id, safe='')}", accept=(404,))


def wanted_data_source(path: str, document: Document) -> tuple[Wanted, dict[str, str]]:
    """What a file says, and the secrets in it."""
    secrets = {str(name): str(value) for name, value in (document.get("secureJsonData") or {}).items()}
    content = {**without(document, [*_OF_THE_SERVER, "secureJsonData"]), "secrets": sorted(secrets)}
    return Wanted(content, str(document["name"]), path, json.dumps(secrets, sort_keys=True) if secrets else ""), secrets
