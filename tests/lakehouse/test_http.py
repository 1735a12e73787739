from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lakehouse.exceptions import ServiceError, TransientError
from lakehouse.http import HttpClient

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def connect() -> Iterator:
    clients = []

    def make(url, **options):
        clients.append(HttpClient("Thing", url, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.session.close()


def certificate(folder: Path, host: str, *, days: int = 1) -> tuple[ssl.SSLContext, str]:
    """A self-signed certificate: the server's context, and the file that makes a client trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "unit test")])
    now = dt.datetime.now(dt.UTC)
    try:
        subject = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        subject = x509.DNSName(host)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=10))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(exist_ok=True)
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, str(folder / "cert.pem")


@pytest.mark.fault(17)
def test_a_redirect_to_a_login_page_that_answers_200_is_an_error(serve, connect):
    def answer(method, path, headers, body):
        return (200, {}, b"<html>sign in</html>") if path == "/login" else (302, {"Location": "/login"}, b"")

    client = connect(serve(answer))
    for method in ("GET", "POST"):
        with pytest.raises(ServiceError, match="302") as caught:
            client.request(method, "/api/import")
        assert (caught.value.status, caught.value.target) == (302, "/api/import")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_sign_in_names_the_connection_and_is_not_tried_again(serve, connect, waits, status):
    asked = []
    client = connect(serve(lambda *request: asked.append(request) or (status, {}, b"no")), auth=("shipper", "hunter2"))
    with pytest.raises(ServiceError, match="user, password and rights of its connection") as caught:
        client.request("GET", "/_bulk")
    assert caught.value.status == status
    assert "hunter2" not in str(caught.value)
    assert len(asked) == 1
    assert waits == []


@pytest.mark.fault(22)
def test_a_read_rides_over_a_service_that_asks_for_patience(serve, connect, waits):
    answers = iter([(503, {}, b""), (429, {}, b""), (200, JSON, b'{"ok": true}')])
    client = connect(serve(lambda *_: next(answers)))
    assert client.request("GET", "/").json() == {"ok": True}
    assert len(waits) == 2


@pytest.mark.fault(22)
def test_a_read_gives_up_in_bounded_time(serve, connect, waits):
    asked = []
    client = connect(serve(lambda *request: asked.append(request) or (503, {}, b"overloaded")))
    with pytest.raises(TransientError, match="503 to GET /: overloaded"):
        client.request("GET", "/")
    assert len(asked) == 4
    assert sum(waits) < 10


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_write_that_was_answered_with_an_error_is_not_sent_again(serve, connect, waits, status):
    asked = []
    client = connect(serve(lambda *request: asked.append(request) or (status, {}, b"")))
    with pytest.raises(TransientError, match=str(status)):
        client.request("POST", "/", data=b"x")
    assert len(asked) == 1


@pytest.mark.fault(5)
def test_a_write_whose_answer_was_lost_is_not_sent_again(serve, connect, waits):
    asked = []
    client = connect(serve(lambda *request: asked.append(request)))
    with pytest.raises(TransientError):
        client.request("POST", "/", data=b"x")
    assert len(asked) == 1


@pytest.mark.fault(22)
def test_a_service_that_is_not_there_is_a_transient_error_that_says_what_to_check(connect, waits):
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        client = connect(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(
            TransientError, match=r"Thing at http://127.0.0.1:\d+ does not answer \(connection refused\): check that it runs"
        ):
            client.request("POST", "/")
    assert len(waits) == 3


@pytest.mark.fault(22)
@pytest.mark.parametrize(("method", "sent"), [("GET", 4), ("POST", 1)])
def test_a_service_that_never_answers_is_given_up(serve, connect, waits, method, sent):
    over, asked = threading.Event(), []

    def hang(*request):
        asked.append(request)
        over.wait(10)

    client = connect(serve(hang))
    try:
        with pytest.raises(TransientError, match=f"took too long over {method} /slow"):
            client.request(method, "/slow", timeout=(1, 0.5))
    finally:
        over.set()
    assert len(asked) == sent


def test_an_answer_that_is_cut_off_in_the_middle_is_read_again(serve, connect, waits):
    answers = iter([(200, {"Content-Length": "1000", "Connection": "close"}, b'{"half": '), (200, JSON, b'{"whole": 1}')])
    client = connect(serve(lambda *_: next(answers)))
    assert client.request("GET", "/").json() == {"whole": 1}


def test_a_status_is_an_error_unless_the_caller_accepts_it(serve, connect):
    client = connect(serve(lambda *_: (404, {}, b"no such index")))
    with pytest.raises(ServiceError, match="404 to GET /logs: no such index") as caught:
        client.request("GET", "/logs")
    assert (caught.value.status, caught.value.target) == (404, "/logs")
    assert client.request("GET", "/logs", accept=(404,)).status_code == 404


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("host", "days", "trusted"),
    [
        pytest.param("127.0.0.1", 1, False, id="a certificate that nobody vouches for"),
        pytest.param("other.example.org", 1, True, id="a certificate for another host"),
        pytest.param("127.0.0.1", -1, True, id="a certificate that ran out yesterday"),
    ],
)
def test_a_bad_certificate_is_refused_at_once(serve, connect, waits, tmp_path, host, days, trusted):
    context, ca_file = certificate(tmp_path, host, days=days)
    asked = []
    client = connect(serve(lambda *request: asked.append(request) or (200, {}, b""), context), verify=ca_file if trusted else True)
    with pytest.raises(ServiceError, match="TLS failed, check the connection's ca_certs: certificate verify failed"):
        client.request("GET", "/")
    assert asked == []
    assert waits == []


@pytest.mark.fault(22)
def test_the_connections_own_authority_wins_over_the_environments(serve, connect, tmp_path, monkeypatch):
    context, ca_file = certificate(tmp_path / "ours", "127.0.0.1")
    _, other = certificate(tmp_path / "other", "127.0.0.1")
    url = serve(lambda *_: (200, {}, b"hello"), context)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", other)
    assert connect(url, verify=ca_file).request("GET", "/").text == "hello"
