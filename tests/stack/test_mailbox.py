from __future__ import annotations

import json
import os
import smtplib
import socket
import subprocess
import time
from email.message import EmailMessage

import pytest

from stack.installation import HOST, REPO, VENVS

PYTHON = VENVS / "stack" / "bin" / "python"
# The stack tool's libraries are in its own environment.
COMMAND = """
import json, sys
from pathlib import Path
from stack.installation import Installation
from stack.services.mailbox import mailbox
stack = Installation(Path(sys.argv[1]))
stack.data.mkdir()
stack.ports["mailbox"] = int(sys.argv[2])
print(json.dumps(mailbox(stack).command))
"""


@pytest.mark.skipif(not PYTHON.exists(), reason="the stack tool's environment is not made")
def test_what_is_sent_is_a_file_in_the_state_folder(tmp_path):
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    told = subprocess.run([PYTHON, "-c", COMMAND, tmp_path, str(port)], cwd=REPO, capture_output=True, text=True, check=True)
    command = json.loads(told.stdout)
    assert f"--listen={HOST}:{port}" in command
    with subprocess.Popen(command, env={"PATH": os.environ["PATH"]}) as process:
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    connection = smtplib.SMTP(HOST, port, timeout=5)
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            mail = EmailMessage()
            mail["From"], mail["To"], mail["Subject"] = "superset@lakehouse.example", "oncall@lakehouse.example", "it is late"
            with connection:
                connection.send_message(mail)
            (file,) = (tmp_path / "data" / "mailbox" / "new").iterdir()
            assert "Subject: it is late" in file.read_text()
        finally:
            process.terminate()
