"""Fetches images from strangers' URLs: the rules are checked at every step, and limits are kept while the bytes come."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import socket
import ssl
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from lakehouse.images.fetch_rules import FetchRules, shown_url
from lakehouse.images.inspect import RefusedImage

__all__ = ["FetchRules", "Fetched", "Fetcher", "shown_url"]

log = logging.getLogger(__name__)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
# Nothing is unpacked here, so a bomb has no more bytes than were sent.
_PACKED = frozenset({"gzip", "x-gzip", "deflate", "compress", "br", "zstd"})
_CHUNK = 65_536
# Seconds before the second try, at most; they double from try to try.
_BACK_OFF = 1.0
# Seconds for servers to answer the end of a TLS connection; the client waits for its plain ones alone.
_GOODBYE = 0.25
# Tries in a row that a host let end in nothing, after which it is left alone: a dead one must not hold up thousands of URLs.
_GIVE_UP = 20


@dataclass(frozen=True)
class Fetched:
    """An image on disk; `url` is where it lay in the end, as `shown_url` writes it, `content_type` what the server calls it."""

    sha256: str
    size: int
    url: str
    content_type: str


class _Failed(Exception):  # noqa: N818  # becomes a RefusedImage when no try is left
    """A try failed; `again` says whether another one may do better."""

    def __init__(self, reason: str, detail: str, *, again: bool = False) -> None:
        super().__init__(detail)
        self.reason, self.again = reason, again


class _CheckedResolver(AbstractResolver):
    """Gives the connector addresses that passed the rules, and no others: it connects to these without asking again."""

    def __init__(self, rules: FetchRules, inner: AbstractResolver) -> None:
        self._rules, self._inner = rules, inner

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        taken = [entry for entry in found if self._rules.takes_address(entry["host"])]
        if not taken:
            raise _not_public(host, *sorted({entry["host"] for entry in found}))
        return taken

    async def close(self) -> None:
        await self._inner.close()


class _Host:
    """How one host is treated."""

    def __init__(self, rules: FetchRules) -> None:
        self.turns = asyncio.Semaphore(rules.per_host)
        self.in_vain = 0
        self._patience, self._open_at = rules.max_wait, 0.0

    async def opened(self) -> None:
        """Wait as long as the host asked for; others may prolong it meanwhile."""
        while (seconds := self._open_at - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(seconds)

    def close_for(self, seconds: float) -> bool:
        """Ask the host nothing for a time; False when that is more than is left of our patience."""
        now = asyncio.get_running_loop().time()
        longer = max(0.0, now + seconds - max(now, self._open_at))
        if longer > self._patience:
            return False
        self._patience -= longer
        self._open_at = max(self._open_at, now + seconds)
        return True


class Fetcher:
    """Fetches images; one object serves many tasks at once.

    Redirects are followed by hand, each checked as the first address was. No proxy, cookie or password is ever used.
    """

    def __init__(self, rules: FetchRules, *, resolver: AbstractResolver | None = None) -> None:
        self._rules, self._resolver, self._spoke_tls = rules, resolver, False
        self._hosts: defaultdict[str, _Host] = defaultdict(lambda: _Host(rules))

    async def __aenter__(self) -> Self:
        rules = self._rules
        self._checked = _CheckedResolver(rules, self._resolver or aiohttp.ThreadedResolver())
        tls = ssl.create_default_context(cafile=rules.ca_certs)
        # A connection serves one request: what a server sends unasked would be taken for the next answer. `per_host` is the limit.
        connector = aiohttp.TCPConnector(resolver=self._checked, ssl=tls, force_close=True, limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": rules.user_agent, "Accept": "image/*", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, connect=rules.connect_seconds),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()
        await asyncio.sleep(_GOODBYE if self._spoke_tls else 0)
        await self._checked.close()

    async def fetch(self, url: str, path: Path) -> Fetched:
        """Write what is behind the URL to a file; one that was begun is removed when it fails.

        Raises:
            RefusedImage: the address is not allowed, its server does not answer or refuses, or there is too much of it.
            OSError: the file cannot be written.
        """
        tries = 1
        while True:
            found = await self._try(url, path)
            if isinstance(found, Fetched):
                return found
            if not found.again or tries >= self._rules.tries:
                break
            seconds = min(_BACK_OFF * 2 ** (tries - 1) * random.uniform(0.5, 1), self._rules.max_wait)  # noqa: S311  # no secret
            log.info("try %d of %d failed, %s, %s: %s", tries, self._rules.tries, found.reason, found, shown_url(url))
            await asyncio.sleep(seconds)
            tries += 1
        # Raised here, with nothing chained to it: the client's own errors carry the whole URL.
        raise RefusedImage(found.reason, f"{found}: {shown_url(url)}")

    async def _try(self, url: str, path: Path) -> Fetched | _Failed:
        try:
            return await self._follow(url, path)
        except _Failed as failed:
            return failed
        except aiohttp.ClientConnectorCertificateError as error:
            return _Failed("tls_failed", getattr(error.certificate_error, "verify_message", "its certificate is not valid"))
        except aiohttp.ClientSSLError:
            return _Failed("tls_failed", "no TLS connection could be made")
        except aiohttp.ClientPayloadError:
            return _Failed("cut_off", "the server ended before it had sent all", again=True)
        except (aiohttp.ClientError, ConnectionError, UnicodeError) as error:  # UnicodeError: a name that DNS cannot have
            return _Failed("unreachable", f"no answer ({type(error).__name__})", again=True)
        except TimeoutError:
            return _Failed("too_slow", f"not done after {self._rules.seconds:g} s")

    async def _follow(self, text: str, path: Path) -> Fetched:
        """One try, from the first address to the last."""
        left, clock = self._rules.seconds, asyncio.get_running_loop().time
        url = _parsed(text)
        for _ in range(self._rules.max_redirects + 1):
            name = self._checked_host(url)
            host = self._hosts[name]
            async with host.turns:
                await host.opened()
                if host.in_vain >= _GIVE_UP:
                    raise _Failed("unreachable", f"{name} is left alone after {_GIVE_UP} tries in vain")
                started = clock()
                try:
                    async with asyncio.timeout(left):
                        found = await self._ask(url, host, path)
                except (TimeoutError, ConnectionError, aiohttp.ClientError):
                    host.in_vain += 1
                    raise
                host.in_vain = 0
                left -= clock() - started
            if isinstance(found, Fetched):
                return found
            if url.scheme == "https" and found.scheme != "https":
                raise _Failed("url_not_allowed", f"redirected from https to {shown_url(str(found))}")
            url = found
        raise _Failed("too_many_redirects", f"more than {self._rules.max_redirects}")

    def _checked_host(self, url: URL) -> str:
        """The URL's host, when the rules allow to ask it."""
        if url.scheme not in self._rules.schemes:
            raise _Failed("url_not_allowed", f"its scheme is none of {', '.join(self._rules.schemes)}")
        if url.user is not None or url.password is not None:
            raise _Failed("url_not_allowed", "it carries a user or a password")
        host = url.raw_host or ""
        if not self._rules.takes_host(host):
            raise _Failed("host_not_allowed", f"{host or 'no host'} is not on the list of hosts")
        # The resolver is not asked about what looks like an address, in whichever spelling.
        last = host.rstrip(".").rpartition(".")[2]
        if (":" in host or last.isdigit() or last.startswith("0x")) and not self._rules.takes_address(host):
            raise _not_public(host, host)
        return host.rstrip(".")

    async def _ask(self, url: URL, host: _Host, path: Path) -> Fetched | URL:
        """One request: the image, or where it redirects to."""
        self._spoke_tls |= url.scheme == "https"
        async with self._session.get(url, allow_redirects=False) as answer:
            status, again = answer.status, answer.status in _TRANSIENT
            if status in _REDIRECTS and (location := answer.headers.get("Location")):
                try:
                    return url.join(_parsed(location))
                except ValueError:
                    raise _Failed("url_not_allowed", "redirected to what is no URL") from None
            if status in (429, 503) and (seconds := _retry_after(answer.headers.get("Retry-After", ""))) and not host.close_for(seconds):
                raise _Failed(f"http_{status}", f"asks to wait {seconds:.0f} s more, at most {self._rules.max_wait:g} s in all are waited")
            if status != 200:
                raise _Failed(f"http_{status}", f"answered {status}", again=again)
            coding = answer.headers.get("Content-Encoding", "").strip().lower()
            if coding in _PACKED:
                raise _Failed("packed", f"sent packed by {coding}, which was not asked for")
            return await self._save(answer, path)

    async def _save(self, answer: aiohttp.ClientResponse, path: Path) -> Fetched:
        most = self._rules.max_bytes
        if (length := answer.content_length) and length > most:
            raise _Failed("too_large", f"{length} bytes announced, at most {most}")
        digest, size = hashlib.sha256(), 0
        try:
            with path.open("wb") as file:
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    size += len(chunk)
                    if size > most:
                        raise _Failed("too_large", f"more than {most} bytes")
                    digest.update(chunk)
                    file.write(chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Fetched(digest.hexdigest(), size, shown_url(str(answer.url)), answer.content_type[:100])


def _parsed(text: str) -> URL:
    # yarl drops some characters without a word, and a backslash is a slash to some: what is checked must be what was written.
    if text.isprintable() and "\\" not in text:
        try:
            return URL(text)
        except ValueError:
            pass
    raise _Failed("url_not_allowed", "it is no URL")


def _not_public(host: str, *addresses: str) -> _Failed:
    return _Failed("address_not_allowed", f"{host} is at {', '.join(addresses) or 'no address'}, which is not public")


def _retry_after(text: str) -> float:
    """Seconds to wait, which are given as such or as a date; 0 when there is nothing to read."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, ((until if until.tzinfo else until.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
