"""Deletes daily indices by the date in their name, where no index state management (ISM) does it."""

from __future__ import annotations

import logging
from datetime import date, datetime, timedelta

from lakehouse.exceptions import ConfigurationError, VerificationError
from lakehouse.opensearch.client import ISM, OpenSearchClient
from lakehouse.opensearch.target import Target

log = logging.getLogger(__name__)


def delete_old_indices(
    client: OpenSearchClient, target: Target, *, retention_days: int, max_indices: int, dry_run: bool = False, now: datetime | None = None
) -> list[str]:
    """Delete the indices of days that are wholly older than the retention; returns their names (in a dry run: those it would delete).

    Args:
        max_indices: more than that in one run is taken for a wrong clock, and nothing is deleted.

    Raises:
        ConfigurationError: it would be more, or the node's clock and ours differ.
        VerificationError: an index is still there.
    """
    if ISM in client.plugins():
        log.info("%s has ISM, which deletes %s by its own policy: nothing to do here", client.name, target.pattern)
        return []
    first_kept = ((now or client.now()) - timedelta(days=retention_days)).date()
    days = _days(client, target)
    old = sorted(index for index, day in days.items() if day < first_kept)
    log.info("%s: %d daily indices, %d of them before %s", target.pattern, len(days), len(old), first_kept)
    if len(old) > max_indices:
        raise ConfigurationError(
            f"{len(old)} indices of {target.pattern} are before {first_kept} ({old[0]} to {old[-1]}), at most {max_indices} are deleted in "
            "one run: is the worker's clock right? If so, trigger the DAG with a higher `max_indices`"
        )
    if not dry_run:
        for index in old:
            client.request("DELETE", f"/{index}", accept=(404,))
            log.info("deleted %s", index)
        if left := sorted(_days(client, target).keys() & set(old)):
            raise VerificationError(f"{left} were deleted and are still there")
    return old


def _days(client: OpenSearchClient, target: Target) -> dict[str, date]:
    answer = client.request("GET", f"/{target.pattern}/_settings?filter_path=*.settings.index.uuid").json()
    return target.daily(answer)
