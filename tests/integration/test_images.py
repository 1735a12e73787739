"""Images from a landing prefix, a folder and manifests, against the real store and catalog; through a proxy where calls go wrong."""

from __future__ import annotations

import hashlib
import logging
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from include.sample_data import images as samples
from lakehouse import async_objects
from lakehouse.exceptions import ConfigurationError, CountError, ServiceError, StorageFullError, TransientError, VerificationError
from lakehouse.images import keys
from lakehouse.images.fetch_rules import FetchRules
from lakehouse.images.register import Registered
from lakehouse.images.sources import in_folder, landed, plan
from lakehouse.objects import ObjectStore
from stack.installation import Installation
from tests.fault_proxy import FaultProxy
from tests.integration.images import LABELS, RULES, Landing, picture, start_process, store_at
from tests.integration.object_store import kill_object_store
from tests.integration.shipping import killer

pytestmark = pytest.mark.integration

# Those that the store takes at all; it refuses `..`, NUL and names beyond 255 bytes.
UNUSUAL = (
    *("a b'; DROP TABLE x;--.png", "ünïcode\u202e.png", "two\nlines.png", "tab\t.png", "a//b.png", "per%2Fcent%20.png", "\x01.png"),
    "=x?y#z.png",
)


@pytest.fixture
def landing(store: ObjectStore, catalog: Catalog, fresh_name: str) -> Landing:
    return Landing(store, catalog, fresh_name)


@pytest.fixture
def proxy(store: ObjectStore) -> Iterator[FaultProxy]:
    """In front of the object store."""
    with FaultProxy(store.endpoint_url) as proxy:
        yield proxy


def through(landing: Landing, proxy: FaultProxy) -> ObjectStore:
    return store_at(proxy.url, landing.catalog.properties)


def counts(registered: Registered) -> tuple[int, int, int, int, int]:
    return (registered.read, registered.uploaded, registered.already_there, registered.refused, registered.left)


def key_of(path: str) -> str:
    return path.removeprefix("s3://lakehouse/")


def objects_of(landing: Landing) -> set[str]:
    """Every object that has the name of one of the table's images."""
    ids = {row["image_id"] for row in landing.rows()}
    days = {f"{row['upload_time']:%Y-%m-%d}" for row in landing.rows()}
    listed = (entry.key for day in days for entry in landing.store.list(f"{keys.IMAGES}{day}/"))
    return {key for key in listed if key.rpartition("/")[2].partition(".")[0] in ids}


@pytest.mark.fault(14)
@pytest.mark.fault(15)
def test_the_sample_images_are_stored_by_content_and_the_broken_ones_are_kept_aside(landing: Landing, stack: Installation) -> None:
    files = list(samples.files())
    landing.put(**{f"{image.tag}/{image.source_system}/{image.name}": image.body for image in files})
    landing.put(**dict.fromkeys(UNUSUAL, files[0].body))
    registered = landing.run()
    refused = 4
    assert counts(registered) == (len(files) + len(UNUSUAL), len(files) - refused, len(UNUSUAL), refused, 0)
    assert landing.waiting() == []
    rows = {row["source"].rpartition("/")[2]: row for row in landing.rows()}
    for image in files:
        if row := rows.get(image.name):
            body = landing.store.read(key_of(row["s3_path"]))
            assert hashlib.sha256(body).hexdigest() == row["image_id"] == row["checksum"]
            assert (len(body), row["tag"], row["source_system"]) == (row["file_size"], image.tag, image.source_system)
            assert hashlib.sha256(image.body).hexdigest() == row["source_checksum"]
            assert (row["source_checksum"] == row["image_id"]) is (row["private_metadata"] == "none")
            assert len(landing.store.read(keys.thumbnail_key(key_of(row["s3_path"])))) > 300
    assert {row["mime_type"] for row in rows.values()} == {"image/jpeg", "image/png", "image/webp", "image/gif"}
    assert [row["private_metadata"] for row in rows.values()].count("dropped") >= 1
    assert registered.lookalikes
    kept = {hashlib.sha256(body).hexdigest() for _, body, _, _ in samples.broken()}
    assert {row[2] for row in landing.refused(stack)} == {f"s3://lakehouse/{keys.REFUSED}{checksum}" for checksum in kept}
    assert all(landing.store.read(f"{keys.REFUSED}{checksum}") is not None for checksum in kept)


def test_an_image_that_comes_again_is_there_already_and_another_tag_is_told(landing: Landing) -> None:
    body = picture(1)
    landing.put(**{"one.png": body, "two.png": body})
    assert counts(landing.run()) == (2, 1, 1, 0, 0)
    landing.put(**{"user/again.png": body})
    again = landing.run("next")
    assert counts(again) == (1, 0, 1, 0, 0)
    assert [(known.tag, known.registered_as) for known in again.elsewhere] == [("user", "product")]
    assert "again.png" in again.report()
    assert len(landing.rows()) == 1


def test_an_object_that_changes_after_it_was_listed_waits_for_the_next_run(landing: Landing) -> None:
    landing.put(**{"one.png": picture(1), "two.png": picture(2), "three.png": picture(3)})
    batches = landing.plan()
    landing.put(**{"one.png": picture(4)})
    landing.store.delete(landing.prefix + "three.png")
    outcomes = landing.upload(batches)
    landing.put(**{"two.png": picture(5)})
    assert counts(landing.register(batches, outcomes)) == (3, 1, 0, 0, 2)
    assert landing.waiting() == ["one.png", "two.png"]


@pytest.mark.fault(11)
def test_a_run_that_has_ended_may_be_cleared_in_every_task(landing: Landing) -> None:
    landing.put(**{"one.png": picture(1), "bad.png": b"no image"})
    batches = landing.plan()
    outcomes = landing.upload(batches)
    first = landing.register(batches, outcomes)
    assert counts(first) == (2, 1, 0, 1, 0)
    assert landing.register(batches, outcomes) == replace(first, snapshot_id=first.snapshot_id)
    assert landing.register(batches, landing.upload(batches)) == first
    landing.put(**{"two.png": picture(2)})
    assert counts(landing.run()) == (1, 1, 0, 0, 0)
    assert len(landing.rows()) == 2


def test_a_batch_whose_outcomes_are_gone_fails_the_run_and_the_landing_prefix_stays(landing: Landing) -> None:
    landing.put(**{"one.png": picture(1)})
    batches = landing.plan()
    (outcome,) = landing.upload(batches)
    landing.store.delete(outcome)
    with pytest.raises(CountError, match=r"outcome-0000.json is gone.*: clear `plan` and all after it"):
        landing.register(batches, [outcome])
    assert (landing.rows(), landing.waiting()) == ([], ["one.png"])


def test_a_prefix_that_is_none_is_refused(landing: Landing) -> None:
    with pytest.raises(ConfigurationError, match=r"landing is '': write a prefix that ends in /"):
        next(landed(landing.store, "", LABELS))


def test_what_is_beyond_the_bound_waits_for_the_next_run(landing: Landing) -> None:
    landing.put(**{f"{number}.png": picture(number) for number in range(3)})
    batches = landing.plan(max_files=2)
    assert counts(landing.register(batches, landing.upload(batches))) == (2, 2, 0, 0, 0)
    assert landing.waiting() == ["2.png"]


def test_files_of_a_folder_stay_where_they_are_and_links_are_not_followed(landing: Landing, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "one.png").write_bytes(picture(1))
    (tmp_path / "bad.png").write_bytes(b"no image")
    (tmp_path / "large.png").write_bytes(bytes(RULES.limits.max_bytes + 1))
    (tmp_path / "link.png").symlink_to("/etc/passwd")
    (tmp_path / "gone.png").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/latin-\xe9.png")).write_bytes(picture(2))
    # Its files stay, so that a bound would take the first ones again and again.
    batches = plan(landing.store, f"{landing.name}-run", landing.now(), in_folder(tmp_path, LABELS), max_files=1)
    (tmp_path / "gone.png").unlink()
    assert counts(landing.register(batches, landing.upload(batches))) == (5, 1, 0, 3, 1)
    assert {path.name for path in tmp_path.rglob("*.png")} >= {"one.png", "bad.png", "large.png", "link.png"}
    assert [row["source"] for row in landing.rows()] == [str(tmp_path / "below" / "one.png")]


def test_an_object_that_is_too_large_is_not_read_and_is_kept(landing: Landing, stack: Installation) -> None:
    landing.put(**{"large.png": bytes(RULES.limits.max_bytes + 1), "good.png": picture(1)})
    assert counts(landing.run()) == (2, 1, 0, 1, 0)
    ((source, reason, kept),) = landing.refused(stack)
    assert (source, reason, landing.waiting()) == (landing.prefix + "large.png", "too_large", [])
    assert len(landing.store.read(key_of(kept))) == RULES.limits.max_bytes + 1


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web server on loopback that serves a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.fault(23)
@pytest.mark.fault(24)
def test_a_manifest_is_fetched_within_its_rules_and_archived(
    landing: Landing, stack: Installation, site: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "lakehouse")
    (tmp_path / "one.png").write_bytes(picture(1))
    (tmp_path / "page.png").write_bytes(b"<html>not here</html>")
    manifest = (
        "url,tag,source_system,licence\n"
        f"{site}/one.png?token=Planted0Secret,user,api,CC-BY-4.0\n"
        f"{site}/page.png?token=Planted0Secret,user,api,\n"
        f"{site}/none.png,,,\n"
        "http://169.254.169.254/latest/meta-data,user,api,\n"
        f"{site}/one.png,nonsense,api,\n"
    )
    landing.store.put(landing.manifests + "today.csv", manifest.encode())
    http = FetchRules(schemes=("http",), hosts=("127.0.0.1",), allowed_networks=("127.0.0.0/8",))
    registered = landing.run(rules=replace(RULES, http=http))
    assert counts(registered) == (5, 1, 0, 4, 0)
    (row,) = landing.rows()
    assert (row["tag"], row["source_system"], row["licence"]) == ("user", "api", "CC-BY-4.0")
    landing.store.put(landing.manifests + "empty.csv", b"")
    # The same page as a landed object, which was kept by its content before.
    landing.put(**{"page.png": (tmp_path / "page.png").read_bytes()})
    assert counts(landing.run("next", rules=replace(RULES, http=http))) == (2, 0, 0, 2, 0)
    landing.store.put(landing.manifests + "again.csv", manifest.encode())
    assert counts(landing.run("again", rules=replace(RULES, http=http))) == (5, 0, 1, 4, 0)
    refused = {reason: (source, kept) for source, reason, kept in landing.refused(stack)}
    assert {"not_an_image", "http_404", "host_not_allowed"} < refused.keys()
    assert [reason for reason, (_, kept) in refused.items() if kept] == ["not_an_image"]
    assert list(landing.store.list(landing.manifests)) == []
    assert "Planted0Secret" not in str((caplog.text, landing.rows(), refused, registered.report()))


@pytest.mark.fault(16)
def test_another_content_under_an_images_key_stops_the_run_and_stays(landing: Landing) -> None:
    body = picture(1)
    landing.put(**{"one.png": body})
    batches = landing.plan()
    key = keys.image_key(batches[0].started.date(), hashlib.sha256(body).hexdigest(), "image/png")
    landing.store.put(key, b"someone else's", "image/png")
    try:
        with pytest.raises(VerificationError, match=f"{key} holds another content than the one that was put there"):
            landing.upload(batches)
        assert (landing.store.read(key), landing.rows(), landing.waiting()) == (b"someone else's", [], ["one.png"])
    finally:
        landing.store.delete(key)
    assert counts(landing.register(batches, landing.upload(batches))) == (1, 1, 0, 0, 0)


@pytest.mark.fault(9)
def test_a_run_that_is_killed_in_every_step_ends_in_one_row_and_one_object_for_each_image(landing: Landing, proxy: FaultProxy) -> None:
    landing.put(**{f"{number}.png": picture(number) for number in range(12)}, bad=b"no image")
    batches = landing.plan()
    running: list[subprocess.Popen[str]] = []
    kill = killer(lambda: running[-1])
    steps = {
        "in the middle of the upload": ("PUT", f"/{keys.IMAGES}", 5, 0),
        "between upload and commit": ("GET", f"/{keys.STAGING}.*/outcome-", 1, 0),
        "between commit and archive": ("PUT", f"/{keys.ARCHIVE}", 1, 12),
        # Moves go side by side, so that how many the step before has done is not known.
        "in the middle of the archive": ("POST", r"\?delete", 1, 12),
    }
    for step, (verb, path, nth, rows) in steps.items():
        proxy.heal()
        fault = proxy.add(verb, path, nth=nth, before=kill, drop=True)
        running.append(start_process(landing, batches, proxy.url))
        _, errors = running[-1].communicate(timeout=90)
        assert (running[-1].returncode, fault.seen >= nth, len(landing.rows())) == (-9, True, rows), (step, errors[-2000:])
    proxy.heal()
    registered = landing.register(batches, landing.upload(batches))
    # Seen by this last try are those that were still in the landing prefix; the others moved before.
    assert registered.uploaded + registered.left + registered.refused == 13
    assert (len(landing.rows()), len({row["image_id"] for row in landing.rows()}), landing.waiting()) == (12, 12, [])
    assert objects_of(landing) == {key_of(row["s3_path"]) for row in landing.rows()}


@pytest.mark.fault(11)
def test_two_runs_at_once_are_as_one(landing: Landing) -> None:
    landing.put(**{f"{number}.png": picture(number) for number in range(8)})
    both = [landing.plan(run) for run in ("one", "two")]
    stored = [landing.upload(batches) for batches in both]
    done: list[Registered] = []
    barrier = threading.Barrier(2)

    def finish(number: int, run: str) -> None:
        barrier.wait()
        done.append(landing.register(both[number], stored[number], run))

    threads = [threading.Thread(target=finish, args=arguments) for arguments in enumerate(("one", "two"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 2
    assert sorted(one.uploaded for one in done) == [0, 8]
    assert (len(landing.rows()), landing.waiting()) == (8, [])


@pytest.mark.fault(10)
def test_an_upload_rides_over_a_killed_object_store(landing: Landing, stack: Installation, proxy: FaultProxy) -> None:
    landing.put(**{f"{number}.png": picture(number) for number in range(40)})
    batches = landing.plan()
    killed = proxy.add("PUT", f"/{keys.IMAGES}", nth=10, after=lambda: kill_object_store(stack))
    outcomes = landing.upload(batches, store=through(landing, proxy))
    assert killed.seen >= 10
    assert counts(landing.register(batches, outcomes)) == (40, 40, 0, 0, 0)
    for row in landing.rows():
        assert hashlib.sha256(landing.store.read(key_of(row["s3_path"]))).hexdigest() == row["image_id"]


@pytest.mark.fault(22)
def test_a_store_that_is_down_or_busy_or_does_not_know_us_is_named(
    landing: Landing, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.put(**{"one.png": picture(1)})
    batches = landing.plan()
    busy = through(landing, proxy)
    fault = proxy.add("PUT", f"/{keys.IMAGES}", times=2, status=503)
    landing.upload(batches, store=busy)
    assert fault.seen >= 3
    monkeypatch.setattr(async_objects, "_PATIENCE", 1.0)
    proxy.heal()
    proxy.add("PUT", f"/{keys.IMAGES}", times=0, status=503)
    with pytest.raises(TransientError, match=r"put of s3://lakehouse/raw/images/.*: the store does not answer .*503.*: check that it runs"):
        landing.upload(batches, store=through(landing, proxy))
    proxy.heal()
    proxy.add("PUT", f"/{keys.IMAGES}", times=0, status=403)
    with pytest.raises(ServiceError, match=r"put of s3://lakehouse/raw/images/.* was refused: check the keys of its connection"):
        landing.upload(batches, store=through(landing, proxy))
    assert (landing.rows(), landing.waiting()) == ([], ["one.png"])


@pytest.mark.fault(28)
def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    landing.put(**{"one.png": picture(1, size=(400, 400))})
    batches = landing.plan()
    bounds = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, bounds[1]))
    try:
        with pytest.raises(StorageFullError, match=r"takes no more \(File too large\): make room there, or set TMPDIR to a larger disk"):
            landing.upload(batches)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, bounds)
        signal.signal(signal.SIGXFSZ, ignored)
    assert (landing.rows(), landing.waiting()) == ([], ["one.png"])
    assert counts(landing.register(batches, landing.upload(batches))) == (1, 1, 0, 0, 0)
