"""Which addresses strangers may send us to, and how much is taken from there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

from lakehouse.exceptions import ConfigurationError
from lakehouse.masking import hide_secrets

# What `is_global` of some Python version lets through: clouds' metadata in 192.0.0.0/24 and at 168.63.129.16, relays, documentation.
# All that embeds an IPv4 address (mapped, NAT64, Teredo, 6to4) lies outside 2000::/3, in 2001::/23, or here.
_IPV6 = ip_network("2000::/3")
_NOT_PUBLIC = tuple(
    ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "2002::/16", "3fff::/20")
)


@dataclass(frozen=True)
class FetchRules:
    """What may be asked for, and how much of it.

    Attributes:
        schemes: `https`, and `http` where that is wanted.
        hosts: exact names, and `*.example.org` for every name below one; without any, nothing is fetched.
        allowed_networks: addresses that may be asked though they are not public, such as `10.1.0.0/16`.
        max_bytes: of one image.
        seconds: for one try, redirects included; waiting for a turn does not count.
        connect_seconds: for the look-up, the connection and the TLS handshake.
        per_host: requests to one host at once.
        tries: at most, when there is no answer, or one that asks for patience.
        max_wait: seconds that one Fetcher waits in all because a host asks for it by Retry-After; also the longest back-off.
        ca_certs: file of the certificate authorities that are trusted instead of the system's.

    Raises:
        ConfigurationError: a value is of the wrong kind.
    """

    schemes: tuple[str, ...] = ("https",)
    hosts: tuple[str, ...] = ()
    allowed_networks: tuple[str, ...] = ()
    max_bytes: int = 50_000_000
    seconds: float = 60.0
    connect_seconds: float = 10.0
    max_redirects: int = 5
    per_host: int = 4
    tries: int = 3
    max_wait: float = 60.0
    user_agent: str = "lakehouse-images/1"
    ca_certs: str | None = None

    def __post_init__(self) -> None:
        for name in ("schemes", "hosts", "allowed_networks"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(entry, str) for entry in value):
                raise ConfigurationError(f"{name} is {value!r}: write a list of texts")
        for name, least in {"max_bytes": 1, "max_redirects": 0, "per_host": 1, "tries": 1}.items():
            if not isinstance(value := getattr(self, name), int) or value < least:
                raise ConfigurationError(f"{name} is {value!r}: write a whole number from {least}")
        for name in ("seconds", "connect_seconds", "max_wait"):
            if not isinstance(value := getattr(self, name), int | float) or value <= 0:
                raise ConfigurationError(f"{name} is {value!r}: write a number above 0")
        if unknown := sorted(set(self.schemes) - {"http", "https"}):
            raise ConfigurationError(f"schemes {', '.join(unknown)} cannot be fetched: write https, or http")
        _ = self._patterns, self._networks

    @cached_property
    def _patterns(self) -> tuple[str, ...]:
        patterns = []
        for text in self.hosts:
            star, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
            try:
                host = URL.build(scheme="https", host=name).raw_host
            except ValueError:
                host = None
            if not host or "*" in host:
                raise ConfigurationError(f"hosts: {text!r} is none: write a name without scheme and port, or *.example.org")
            patterns.append(star + host.rstrip("."))
        return tuple(patterns)

    @cached_property
    def _networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        try:
            return tuple(ip_network(text) for text in self.allowed_networks)
        except ValueError as error:
            raise ConfigurationError(f"allowed_networks: {error}; write such as 10.1.0.0/16") from error

    def takes_host(self, host: str) -> bool:
        """Whether the host, in ASCII and small letters, is on the list."""
        host = host.rstrip(".")
        return any(host.endswith(entry[1:]) and len(host) >= len(entry) if entry[0] == "*" else host == entry for entry in self._patterns)

    def takes_address(self, text: str) -> bool:
        """Whether the address is public, or in a network that is allowed though it is not; other spellings of an address are neither."""
        try:
            address: IPv4Address | IPv6Address = ip_address(text)
        except ValueError:
            return False
        if any(address in network for network in self._networks):
            return True
        if isinstance(address, IPv6Address) and (address not in _IPV6 or address.scope_id):
            return False
        return address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC)


def shown_url(text: str) -> str:
    """The URL without user info, query and fragment, which may hold secrets; what cannot be told apart is left out."""
    try:
        shown = str(URL(text).with_user(None).with_query(None).with_fragment(None))
    except ValueError:  # It has no host. An @ may end a password or be part of a query: nobody can tell.
        shown = "***" if "@" in text else text.partition("?")[0].partition("#")[0]
    return hide_secrets("".join(letter if letter.isprintable() else "?" for letter in shown[:500]))
