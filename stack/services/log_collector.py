"""rsyslog, which collects the services' own logs, where Debian's package can be had."""

from __future__ import annotations

from stack import software
from stack.installation import Installation
from stack.rotated import link_missed
from stack.services.service import Service

SPOOL = "log_spool"


def log_collector(stack: Installation) -> Service:
    """Reads `logs/*.log` and writes JSON lines into the spool, which `bronze_raw_logs` empties."""
    root, work = software.SOFTWARE / "rsyslog", stack.data / "rsyslog"
    libraries = next(root.glob("usr/lib/*/rsyslog"))
    pid_file = work / "rsyslogd.pid"

    def prepare() -> None:
        (stack.data / SPOOL).mkdir(parents=True, exist_ok=True, mode=0o700)
        # Left by a crash, it would keep rsyslogd from starting when another process has that number now.
        pid_file.unlink(missing_ok=True)
        link_missed(stack.logs, work, work / "missed")

    config = stack.etc / "rsyslog" / "rsyslog.conf"
    return Service(
        "log_collector",
        "rsyslog, the log collector",
        [str(root / "usr/sbin/rsyslogd"), "-n", "-f", str(config), "-i", str(pid_file), "-M", str(libraries)],
        ready=pid_file.exists,
        environment={"LD_LIBRARY_PATH": str(libraries.parent)},
        directory=work,
        prepare=prepare,
    )
