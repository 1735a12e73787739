from __future__ import annotations

import asyncio
import gzip
import hashlib
import socket
import ssl
import time
import traceback
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme
from aiohttp.abc import AbstractResolver

from lakehouse.images import fetch as module
from lakehouse.images.fetch import Fetched, Fetcher, FetchRules
from lakehouse.images.inspect import RefusedImage

IMAGE = b"\x89PNG" + bytes(range(256)) * 400
PNG = {"Content-Type": "image/png"}
# Loopback is allowed here, because the servers of these tests are there.
RULES = {"schemes": ("http", "https"), "hosts": ("127.0.0.1",), "allowed_networks": ("127.0.0.1",), "seconds": 5.0, "connect_seconds": 2.0}
# Sent to whoever asks, and looked for where it must not be.
SECRET = "hunter2"


class Names(AbstractResolver):
    """A name server's answers, one list of addresses after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), []

    async def resolve(self, host, port=0, family=socket.AF_UNSPEC):  # noqa: ARG002  # aiohttp's names
        self.asked.append(host)
        if not self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        common = {"hostname": host, "port": port, "proto": 0, "flags": socket.AI_NUMERICHOST}
        return [{**common, "host": text, "family": socket.AF_INET6 if ":" in text else socket.AF_INET} for text in addresses]

    async def close(self):
        pass


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> tuple[trustme.CA, str]:
    made = trustme.CA(key_type=trustme.KeyType.ECDSA)
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    return made, str(path)


@pytest.fixture(autouse=True)
def _quick(monkeypatch, authority):
    """Short waits, and one authority instead of the system's hundred, which take 20 ms to load."""
    monkeypatch.setattr(module, "_BACK_OFF", 0.01)
    monkeypatch.setitem(RULES, "ca_certs", authority[1])


@pytest.fixture
def fetch(tmp_path) -> Callable[..., Fetched]:
    """Fetch one URL into `tmp_path / "image"`."""

    def run(url: str, resolver: AbstractResolver | None = None, **rules) -> Fetched:
        async def one() -> Fetched:
            async with Fetcher(FetchRules(**RULES | rules), resolver=resolver) as fetcher:
                return await fetcher.fetch(url, tmp_path / "image")

        return asyncio.run(one())

    return run


@pytest.fixture
def refusal(fetch, tmp_path) -> Callable[..., RefusedImage]:
    """The refusal of one URL, which leaves no file and has no other error chained to it."""
    path = tmp_path / "image"

    def run(url: str, resolver: AbstractResolver | None = None, **rules) -> RefusedImage:
        path.unlink(missing_ok=True)
        with pytest.raises(RefusedImage) as caught:
            fetch(url, resolver, **rules)
        assert not path.exists()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        return caught.value

    return run


@asynccontextmanager
async def raw_server(answer: Callable[[asyncio.StreamWriter], object], host: str = "127.0.0.1", port: int = 0):
    """A server that says what it likes; yields its port and the list of the requests' first lines."""
    requests, handlers = [], []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                requests.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
                if await answer(writer):
                    break
            writer.close()
            await writer.wait_closed()
        writer.transport.abort()

    server = await asyncio.start_server(handle, host, port)
    yield server.sockets[0].getsockname()[1], requests
    server.close()
    for handler in handlers:
        handler.cancel()
    await asyncio.gather(*handlers)
    await asyncio.sleep(0)  # what was aborted is closed in the loop's next turn


def raw(fetched: Path, answer: Callable[[asyncio.StreamWriter], object], **rules) -> tuple[Fetched | RefusedImage, list[str]]:
    """What becomes of one URL of such a server, and what it was asked."""

    async def run():
        async with raw_server(answer) as (port, requests), Fetcher(FetchRules(**RULES | rules)) as fetcher:
            try:
                return await fetcher.fetch(f"http://127.0.0.1:{port}/a.png?sig={SECRET}", fetched), requests
            except RefusedImage as error:
                assert not fetched.exists()
                return error, requests

    return asyncio.run(run())


def test_an_image_is_written_to_the_file_and_told_of(serve, fetch, tmp_path):
    asked = []
    url = serve(lambda _, path, headers, __: asked.append((path, headers)) or (200, PNG, IMAGE))
    found = fetch(f"{url}/a%20b/c.png?size=2&n=%2F#top", user_agent="someone/1")
    assert found == Fetched(hashlib.sha256(IMAGE).hexdigest(), len(IMAGE), f"{url}/a%20b/c.png", "image/png")
    assert (tmp_path / "image").read_bytes() == IMAGE
    ((path, headers),) = asked
    assert path == "/a%20b/c.png?size=2&n=/"
    assert (headers["User-Agent"], headers["Accept-Encoding"]) == ("someone/1", "identity")


def test_the_environments_proxies_and_passwords_and_the_servers_cookies_are_not_used(serve, tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen = []
    url = serve(lambda _, __, headers, ___: seen.append(headers) or (200, {"Set-Cookie": "who=me"}, IMAGE))

    async def run():
        async with Fetcher(FetchRules(**RULES)) as fetcher:
            for _ in range(2):
                await fetcher.fetch(url, tmp_path / "image")

    asyncio.run(run())
    assert len(seen) == 2
    assert not [headers for headers in seen if {"Cookie", "Authorization", "Proxy-Authorization"} & headers.keys()]


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("http://169.254.169.254/latest/meta-data", "address_not_allowed", id="a cloud's metadata"),
        pytest.param("http://192.168.0.1/", "address_not_allowed", id="a private address"),
        pytest.param("http://127.0.0.1:8080/", "address_not_allowed", id="loopback"),
        pytest.param("http://2130706433/", "address_not_allowed", id="loopback as one number"),
        pytest.param("http://127.1/", "address_not_allowed", id="loopback, shortened"),
        pytest.param("http://0x7f.1/", "address_not_allowed", id="loopback in hexadecimal"),
        pytest.param("http://0x7f000001/", "address_not_allowed", id="loopback as one hexadecimal number"),
        pytest.param("http://0177.0.0.1/", "address_not_allowed", id="loopback in octal"),
        pytest.param("http://127.0.0.1./", "address_not_allowed", id="loopback with a dot at its end"),
        pytest.param("http://127。0。0。1/", "address_not_allowed", id="loopback with the dots of another script"),
        pytest.param("http://[::1]/", "address_not_allowed", id="loopback of IPv6"),
        pytest.param("http://[::ffff:127.0.0.1]/", "address_not_allowed", id="loopback within IPv6"),
        pytest.param("http://[64:ff9b::7f00:1]/", "address_not_allowed", id="loopback behind NAT64"),
        pytest.param("http://[fe80::1%25lo]/", "address_not_allowed", id="link-local with a zone"),
        pytest.param("file:///etc/passwd", "url_not_allowed", id="a file"),
        pytest.param("ftp://example.org/a.png", "url_not_allowed", id="another scheme"),
        pytest.param("data:image/png;base64,AAAA", "url_not_allowed", id="data"),
        pytest.param("//example.org/a.png", "url_not_allowed", id="no scheme"),
        pytest.param("https://other.example.org/a.png", "host_not_allowed", id="another host"),
        pytest.param("https:///a.png", "host_not_allowed", id="no host"),
        pytest.param("https://me:hunter2@example.org/a.png", "url_not_allowed", id="a password"),
        pytest.param("https://me@example.org/a.png", "url_not_allowed", id="a user"),
        pytest.param("https://other.org\\@example.org/a.png", "url_not_allowed", id="a backslash"),
        pytest.param("https://example.org/a\r\nHost: b", "url_not_allowed", id="a line break"),
        pytest.param("https://exam\tple.org/a.png", "url_not_allowed", id="a tab"),
        pytest.param("https://example.org:99999/a.png", "url_not_allowed", id="a port that there is not"),
        pytest.param("https://[::1/a.png", "url_not_allowed", id="half of a bracket"),
        pytest.param("", "url_not_allowed", id="nothing"),
    ],
)
def test_what_the_rules_do_not_allow_is_refused_before_anything_is_asked(refusal, url, reason):
    names = Names(["127.0.0.1"])
    # On the list of hosts, so that the rule about addresses stands alone.
    numbers = ("169.254.169.254", "192.168.0.1", "127.0.0.1", "2130706433", "127.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "::1")
    hosts = ("example.org", *numbers, "::ffff:7f00:1", "64:ff9b::7f00:1", "fe80::1%25lo")
    error = refusal(url, names, hosts=hosts, allowed_networks=())
    assert error.reason == reason
    assert names.asked == []
    assert SECRET not in str(error)


@pytest.mark.fault(24)
@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1", "fd00::1"])
def test_a_name_that_leads_inside_is_refused_without_a_connection(serve, refusal, address):
    asked = []
    port = serve(lambda *request: asked.append(request) or (200, {}, b"")).rpartition(":")[2]
    error = refusal(f"http://images.example.org:{port}/a.png", Names([address]), hosts=("*.example.org",), allowed_networks=())
    assert error.reason == "address_not_allowed"
    assert str(error).startswith(f"images.example.org is at {address}, which is not public: http://images.example.org")
    assert asked == []


@pytest.mark.fault(24)
def test_the_systems_own_names_are_checked_as_well(serve, fetch, refusal):
    url = serve(lambda *_: (200, {}, IMAGE)).replace("127.0.0.1", "localhost")
    assert refusal(url, hosts=("localhost",), allowed_networks=()).reason == "address_not_allowed"
    assert fetch(url, hosts=("localhost",), allowed_networks=("127.0.0.0/8", "::1")).size == len(IMAGE)


@pytest.mark.fault(24)
def test_of_several_addresses_only_those_that_are_allowed_are_asked(fetch):
    async def run():
        async def says(text, writer):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))

        rules = FetchRules(**RULES | {"hosts": ("images.example.org",)})
        async with (
            raw_server(lambda writer: says(b"outer", writer)) as (port, outer),
            raw_server(lambda writer: says(b"inner", writer), "127.0.0.2", port) as (_, inner),
            Fetcher(rules, resolver=Names(["127.0.0.2", "127.0.0.1", "10.0.0.1"])) as fetcher,
        ):
            found = await fetcher.fetch(f"http://images.example.org:{port}/", Path("/dev/null"))
            return found.size, len(outer), len(inner)

    assert asyncio.run(run()) == (5, 1, 0)


@pytest.mark.fault(24)
def test_a_name_that_leads_elsewhere_after_the_check_is_not_followed(tmp_path):
    """DNS rebinding: the first answer is allowed, those after it lead to a server inside, on the same port."""

    async def run():
        async def says(text, writer):
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n" + text)
            return True

        names = Names(["127.0.0.1"], ["127.0.0.2"])
        async with (
            raw_server(lambda writer: says(b"outer", writer)) as (port, outer),
            raw_server(lambda writer: says(b"inner", writer), "127.0.0.2", port) as (_, inner),
        ):
            url, path = f"http://images.example.org:{port}/", tmp_path / "image"
            outcomes = []
            for _ in range(2):  # each with a Fetcher of its own, which knows nothing of the first answer
                async with Fetcher(FetchRules(**RULES | {"hosts": ("images.example.org",)}), resolver=names) as fetcher:
                    try:
                        await fetcher.fetch(url, path)
                        outcomes.append(path.read_bytes())
                    except RefusedImage as error:
                        outcomes.append(error.reason)
            return outcomes, len(names.asked), len(outer), len(inner)

    assert asyncio.run(run()) == ([b"outer", "address_not_allowed"], 2, 1, 0)


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("location", "reason"),
    [
        pytest.param("http://other.example.org/a.png", "host_not_allowed", id="another host"),
        pytest.param("//other.example.org/a.png", "host_not_allowed", id="another host, same scheme"),
        pytest.param("http://10.0.0.1/a.png", "address_not_allowed", id="a private address"),
        pytest.param("http://inner.example.net/a.png", "address_not_allowed", id="a name that leads inside"),
        pytest.param("http://169.254.169.254/latest", "address_not_allowed", id="a cloud's metadata"),
        pytest.param("file:///etc/passwd", "url_not_allowed", id="a file"),
        pytest.param("http://me:hunter2@127.0.0.1/a.png", "url_not_allowed", id="a password"),
        pytest.param("http://127.0.0.1\\@other.example.org/", "url_not_allowed", id="a backslash"),
        pytest.param("http://[::1", "url_not_allowed", id="no URL"),
        pytest.param("http://127.0.0.1:99999/", "url_not_allowed", id="a port that there is not"),
        pytest.param("/a.png", "too_many_redirects", id="itself"),
    ],
)
def test_a_redirect_is_checked_as_the_first_address_was(serve, refusal, location, reason):
    asked = []
    url = serve(lambda *request: asked.append(request) or (308, {"Location": location}, b"elsewhere"))
    hosts = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "inner.example.net")
    error = refusal(f"{url}/a.png?sig=hunter2", Names(["127.0.0.2"]), hosts=hosts, max_redirects=3)
    assert error.reason == reason
    assert len(asked) == (4 if reason == "too_many_redirects" else 1)
    assert SECRET not in str(error)


def test_a_redirect_that_is_allowed_is_followed_and_the_last_address_told_without_its_query(serve, fetch):
    other = serve(lambda *_: (200, PNG, IMAGE))
    url = serve(lambda _, path, *__: (302, {"Location": "b?n=1"} if path == "/x/a" else {"Location": f"{other}/c?sig=hunter2"}, b""))
    assert fetch(f"{url}/x/a").url == f"{other}/c"


def server_tls(signer: trustme.CA, host: str = "127.0.0.1", **options) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signer.issue_cert(host, key_type=trustme.KeyType.ECDSA, **options).configure_cert(context)
    return context


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("host", "days", "trusted", "words"),
    [
        pytest.param("127.0.0.1", 1, False, "unable to get local issuer certificate", id="a certificate that nobody vouches for"),
        pytest.param("127.0.0.2", 1, True, "IP address mismatch", id="a certificate for another host"),
        pytest.param("127.0.0.1", -1, True, "certificate has expired", id="a certificate that ran out yesterday"),
    ],
)
def test_a_bad_certificate_is_refused_at_once(serve, refusal, authority, host, days, trusted, words):
    signer, _ = authority
    until, asked = datetime.now(UTC) + timedelta(days=days), []
    tls = server_tls(signer, host, not_before=until - timedelta(days=9), not_after=until)
    url = serve(lambda *request: asked.append(request) or (200, {}, b""), tls)
    error = refusal(f"{url}/a.png?sig=hunter2", **{} if trusted else {"ca_certs": None})
    assert error.reason == "tls_failed"
    assert words in str(error)
    assert SECRET not in str(error)
    assert asked == []


@pytest.mark.fault(22)
def test_a_server_that_speaks_no_tls_is_refused(serve, refusal):
    url = serve(lambda *_: (200, {}, b"")).replace("http:", "https:")
    assert refusal(url).reason == "tls_failed"


def test_a_good_certificate_is_taken_and_a_redirect_to_plain_http_is_not(serve, fetch, refusal, authority):
    signer, _ = authority
    plain = serve(lambda *_: (200, {}, IMAGE))
    url = serve(lambda _, path, *__: (302, {"Location": plain}, b"") if path == "/down" else (200, {}, IMAGE), server_tls(signer))
    assert fetch(url).size == len(IMAGE)
    error = refusal(f"{url}/down")
    assert (error.reason, "redirected from https" in str(error)) == ("url_not_allowed", True)


def sends(*parts: bytes, pause: float = 0, repeat: int = 1, close: bool = True) -> Callable[[asyncio.StreamWriter], object]:
    async def answer(writer: asyncio.StreamWriter) -> bool:
        writer.write(parts[0])
        for part in parts[1:] * repeat:
            await asyncio.sleep(pause)
            writer.write(part)
            await writer.drain()
        return close

    return answer


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "reason", "rules"),
    [
        pytest.param(sends(OK + b"\r\n", b"x" * 65_536, repeat=10_000), "too_large", {}, id="a body without end"),
        pytest.param(
            sends(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n", repeat=10_000),
            "too_large",
            {},
            id="chunks without end",
        ),
        pytest.param(sends(OK + b"Content-Length: 99999999\r\n\r\n"), "too_large", {}, id="more announced than allowed"),
        pytest.param(sends(OK + b"Content-Length: 10\r\n\r\nabc"), "cut_off", {"tries": 1}, id="less sent than announced"),
        pytest.param(sends(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"), "cut_off", {"tries": 1}, id="a chunk that is cut off"),
        pytest.param(sends(OK + b"\r\n", b"x", pause=0.02, repeat=500), "too_slow", {"seconds": 0.2}, id="a body that drips"),
        pytest.param(sends(OK, b"A: b\r\n", pause=0.02, repeat=100), "too_slow", {"seconds": 0.2}, id="a header that drips"),
        pytest.param(sends(b"", b"", pause=5), "too_slow", {"seconds": 0.2}, id="no word at all"),
        pytest.param(sends(b"HTTP/1.1 100 Continue\r\n\r\n", pause=5, close=False), "too_slow", {"seconds": 0.2}, id="go on, and on"),
        pytest.param(sends(OK, b"A: b\r\n", repeat=10_000), "unreachable", {"tries": 1}, id="headers without end"),
        pytest.param(sends(b"SSH-2.0-OpenSSH\r\n"), "unreachable", {"tries": 1}, id="another protocol"),
        pytest.param(sends(b""), "unreachable", {"tries": 1}, id="a connection that is dropped"),
        pytest.param(sends(b"HTTP/1.1 302 Found\r\n\r\n"), "http_302", {}, id="a redirect to nowhere"),
        pytest.param(sends(b"HTTP/1.1 204 No Content\r\n\r\n"), "http_204", {}, id="nothing, politely"),
    ],
)
@pytest.mark.fault(23)
def test_a_hostile_server_is_given_up_in_time(tmp_path, caplog, answer, reason, rules):
    caplog.set_level("DEBUG")
    started = time.monotonic()
    error, _ = raw(tmp_path / "image", answer, max_bytes=1_000_000, **rules)
    assert time.monotonic() - started < 2
    assert error.reason == reason
    assert SECRET not in "".join([caplog.text, str(error), repr(error), *traceback.format_exception(error)])


FIRST, FORGED = OK + b"Content-Length: 3\r\n\r\nabc", OK + b"Content-Length: 6\r\n\r\nforged"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(sends(FIRST + FORGED, close=False), id="at once"),
        pytest.param(sends(FIRST, FORGED, pause=0.02, close=False), id="later"),
    ],
)
def test_what_is_sent_unasked_is_not_taken_for_the_next_answer(tmp_path, answer):
    path = tmp_path / "image"

    async def run():
        async with raw_server(answer) as (port, requests), Fetcher(FetchRules(**RULES)) as fetcher:
            for _ in range(2):
                await fetcher.fetch(f"http://127.0.0.1:{port}/", path)
                assert path.read_bytes() == b"abc"
                await asyncio.sleep(0.05)
            assert len(requests) == 2

    asyncio.run(run())


def test_a_body_of_exactly_the_limit_is_taken(serve, fetch, refusal):
    url = serve(lambda *_: (200, {}, IMAGE))
    assert fetch(url, max_bytes=len(IMAGE)).size == len(IMAGE)
    assert refusal(url, max_bytes=len(IMAGE) - 1).reason == "too_large"


@pytest.mark.parametrize("coding", ["gzip", "br", " Deflate "])
def test_a_packed_body_is_never_unpacked(serve, refusal, coding):
    asked = []
    bomb = gzip.compress(bytes(5_000_000))
    url = serve(lambda _, __, headers, ___: asked.append(headers) or (200, {"Content-Encoding": coding}, bomb))
    error = refusal(url, max_bytes=1_000_000)
    assert (error.reason, coding.strip().lower() in str(error)) == ("packed", True)
    assert asked[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("statuses", "tries", "outcome"),
    [
        pytest.param([503, 502, 200], 3, "taken", id="an overloaded server is asked again"),
        pytest.param([503, 503, 200], 2, "http_503", id="but not more often than allowed"),
        pytest.param([None, None, 200], 3, "taken", id="a connection that is dropped is made again"),
        pytest.param([404, 200], 3, "http_404", id="what is not there is not asked for again"),
        pytest.param([401, 200], 3, "http_401", id="nor what is locked"),
    ],
)
def test_only_what_can_heal_is_tried_again(serve, fetch, refusal, statuses, tries, outcome, caplog):
    caplog.set_level("INFO", "lakehouse.images.fetch")
    left = list(statuses)

    def answer(*_):
        status = left.pop(0)
        return None if status is None else (status, {"Connection": "close"}, IMAGE)

    url = serve(answer) + "/a.png?sig=hunter2"
    if outcome == "taken":
        assert fetch(url, tries=tries).size == len(IMAGE)
        assert left == []
        assert "try 1 of 3 failed" in caplog.text
    else:
        assert refusal(url, tries=tries).reason == outcome
        assert left == [200]
    assert SECRET not in caplog.text


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("host", "resolver"),
    [
        pytest.param("127.0.0.1:9", None, id="nobody listens"),
        pytest.param("nowhere.example.org", Names(), id="there is no such name"),
        pytest.param("a" * 64 + ".example.org", None, id="a name that is too long for DNS"),
        pytest.param("a..example.org", None, id="a name with two dots"),
    ],
)
@pytest.mark.fault(23)
def test_what_cannot_be_reached_is_refused_without_its_secrets(refusal, caplog, host, resolver):
    caplog.set_level("DEBUG")
    error = refusal(f"http://{host}/a.png?sig=hunter2#hunter2", resolver, hosts=("127.0.0.1", "*.example.org"))
    assert error.reason == "unreachable"
    assert str(error).endswith(f": http://{host}/a.png")
    assert SECRET not in caplog.text + "".join(traceback.format_exception(error))


def together(url: str, count: int, folder: Path, **rules) -> list[Fetched | BaseException]:
    async def run():
        async with Fetcher(FetchRules(**RULES | rules)) as fetcher:
            return await asyncio.gather(*(fetcher.fetch(f"{url}/{n}", folder / str(n)) for n in range(count)), return_exceptions=True)

    return asyncio.run(run())


def test_a_host_is_asked_by_few_at_once(serve, tmp_path):
    running, most = [], []

    def answer(*_):
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()
        return 200, {}, IMAGE

    assert [found.size for found in together(serve(answer), 12, tmp_path, per_host=3)] == [len(IMAGE)] * 12
    assert max(most) == 3


def test_everybody_waits_as_long_as_a_host_asks_for(serve, tmp_path):
    times = []

    def answer(*_):
        times.append(time.monotonic())
        return (429, {"Retry-After": "1"}, b"") if len(times) == 1 else (200, {}, IMAGE)

    assert [found.size for found in together(serve(answer), 4, tmp_path, per_host=1)] == [len(IMAGE)] * 4
    assert len(times) == 5
    assert 0.95 < times[1] - times[0] < 2


@pytest.mark.parametrize(
    "after",
    [
        pytest.param("3600", id="seconds"),
        pytest.param("9" * 400, id="more seconds than there are numbers"),
        pytest.param(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True), id="a date"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_nobody_waits_longer_than_allowed(serve, refusal, status, after):
    asked = []
    url = serve(lambda *_: asked.append(1) or (status, {"Retry-After": after}, b""))
    error = refusal(url, max_wait=2)
    assert error.reason == f"http_{status}"
    assert "at most 2 s in all" in str(error)
    assert len(asked) == 1


# The last one is sent as the UTF-8 of a digit that is no number.
@pytest.mark.parametrize(
    "after", ["", "soon", "-1", "1e9", "0", "Mon, 01 Jan 1990 00:00:00 GMT", "Mon, 99 Foo 9999 99:99:99 GMT", "\u00c2\u00b9"]
)
def test_a_time_that_cannot_be_read_or_is_over_is_no_time(serve, fetch, after):
    answers = [(503, {"Retry-After": after}, b""), (200, {}, IMAGE)]
    assert fetch(serve(lambda *_: answers.pop(0))).size == len(IMAGE)


def test_a_host_that_never_answers_is_left_alone(serve, tmp_path):
    asked = []
    found = together(serve(lambda *_: asked.append(1)), 100, tmp_path, per_host=2, tries=1)
    assert {error.reason for error in found} == {"unreachable"}
    assert len(asked) < 2 * (module._GIVE_UP + 2)  # the client makes a dropped connection once more by itself
    assert "left alone after 20 tries" in str(found[-1])


def test_a_disk_that_takes_nothing_is_not_the_sources_fault(serve, fetch, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    url = serve(lambda *_: (200, {}, IMAGE))
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(url)


def test_a_fetch_that_is_cancelled_leaves_no_file(tmp_path):
    path = tmp_path / "image"

    async def run():
        async with (
            raw_server(sends(OK + b"\r\n", b"x" * 100_000, pause=0.05, repeat=100)) as (port, _),
            Fetcher(FetchRules(**RULES)) as fetcher,
        ):
            task = asyncio.create_task(fetcher.fetch(f"http://127.0.0.1:{port}/", path))
            while not path.exists():
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert not path.exists()
