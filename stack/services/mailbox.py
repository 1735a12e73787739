"""The mailbox: an SMTP server that keeps what it is sent as files, so that an alert's mail can be read without a mail provider."""

from __future__ import annotations

import smtplib

from stack.installation import HOST, VENVS, Installation
from stack.services.service import Service


def mailbox(stack: Installation) -> Service:
    """aiosmtpd's own command line with its maildir handler; a message is a file below `data/mailbox/new`."""
    folder = stack.data / "mailbox"

    def ready() -> bool:
        with smtplib.SMTP(HOST, stack.ports["mailbox"], timeout=2) as connection:
            return connection.noop()[0] == 250

    listen = f"--listen={HOST}:{stack.ports['mailbox']}"
    python = VENVS / "stack" / "bin" / "python"
    return Service(
        "mailbox",
        "Mailbox for alerts",
        # -n: without it, root would become `nobody`, who cannot write below var/.
        [str(python), "-m", "aiosmtpd", "-n", listen, "--class=aiosmtpd.handlers.Mailbox", str(folder)],
        ready=ready,
        ports=("mailbox",),
    )
