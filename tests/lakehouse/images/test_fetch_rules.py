from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakehouse.exceptions import ConfigurationError
from lakehouse.images.fetch_rules import FetchRules, shown_url

NOWHERE = FetchRules()
# Ranges of which `ipaddress` has its own opinion, so that a random address falls into them now and then.
INSIDE = st.sampled_from(["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4"])
INSIDE_V6 = st.sampled_from(["::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fc00::/7", "fe80::/10"])
ADDRESSES = st.one_of(
    st.ip_addresses(),
    INSIDE.flatmap(lambda network: st.ip_addresses(network=network)),
    INSIDE_V6.flatmap(lambda network: st.ip_addresses(network=network)),
)


@pytest.mark.fault(24)
@given(address=ADDRESSES)
def test_no_address_passes_that_is_not_global(address):
    if NOWHERE.takes_address(str(address)):
        assert address.is_global
        not_wanted = ("private", "loopback", "link_local", "multicast", "reserved", "unspecified")
        assert not [kind for kind in not_wanted if getattr(address, f"is_{kind}")]


@pytest.mark.fault(24)
@given(inner=st.ip_addresses(v=4))
@example(inner=IPv4Address("127.0.0.1"))
@example(inner=IPv4Address("8.8.8.8"))
def test_no_address_passes_that_another_one_hides_in(inner):
    number = int(inner)
    for base in ("::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::"):
        assert not NOWHERE.takes_address(str(IPv6Address(int(IPv6Address(base)) + number)))
    assert not NOWHERE.takes_address(str(IPv6Address((0x2002 << 112) + (number << 80) + 1)))  # 6to4
    assert not NOWHERE.takes_address(str(IPv6Address((0x20010000 << 96) + number)))  # Teredo


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.1", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1"),
        *("192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
        *("::", "::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "3fff::1"),
        *("2606:4700::1111%eth0", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1.", "[::1]", "localhost", ""),
    ],
)
def test_addresses_that_are_not_public_and_other_spellings_are_refused(text):
    assert not NOWHERE.takes_address(text)


@pytest.mark.parametrize("text", ["8.8.8.8", "192.0.1.1", "2606:4700:4700::1111", "2a00:1450:4001::1"])
def test_public_addresses_pass(text):
    assert NOWHERE.takes_address(text)


def test_a_network_that_is_allowed_passes_and_its_neighbours_do_not():
    rules = FetchRules(allowed_networks=("10.1.0.0/16", "fd00:1::/32"))
    assert [text for text in ("10.1.2.3", "10.2.0.1", "fd00:1::1", "fd00:2::1", "::ffff:10.1.2.3") if rules.takes_address(text)] == [
        "10.1.2.3",
        "fd00:1::1",
    ]
    assert ip_address("10.1.2.3").is_private


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("entry", "taken", "not_taken"),
    [
        pytest.param("images.example.org", "images.example.org images.example.org.", "example.org a.images.example.org", id="a name"),
        pytest.param("*.example.org", "a.example.org a.b.example.org", "example.org .example.org evilexample.org", id="names below"),
        pytest.param("*.example.org", "a.example.org", "a.example.org.evil.org a.example.orgs", id="a name that begins so"),
        pytest.param("Bücher.example", "xn--bcher-kva.example", "bcher.example", id="a name that is not ASCII"),
        pytest.param("::1", "::1", "::2", id="an address"),
    ],
)
def test_only_hosts_on_the_list_are_taken(entry, taken, not_taken):
    rules = FetchRules(hosts=(entry,))
    assert all(rules.takes_host(host) for host in taken.split())
    assert not any(rules.takes_host(host) for host in not_taken.split())
    assert not any(NOWHERE.takes_host(host) for host in taken.split())


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        pytest.param({"hosts": "example.org"}, "hosts is 'example.org': write a list of texts", id="a host that is no list"),
        pytest.param({"hosts": ("https://example.org",)}, "write a name without scheme and port", id="a URL for a host"),
        pytest.param({"hosts": ("example.org:8080",)}, "write a name without scheme and port", id="a host with a port"),
        pytest.param({"hosts": ("*",)}, "write a name", id="every host"),
        pytest.param({"hosts": ("*.",)}, "write a name", id="every host, with a dot"),
        pytest.param({"hosts": ("",)}, "write a name", id="an empty host"),
        pytest.param({"hosts": ("a.*.org",)}, "write a name", id="a star in the middle"),
        pytest.param({"hosts": (7,)}, "write a list of texts", id="a number for a host"),
        pytest.param({"schemes": ("https", "file")}, "schemes file cannot be fetched", id="a scheme that is not of the web"),
        pytest.param({"allowed_networks": ("10.1.2.3/8",)}, "host bits set; write such as", id="a network with host bits"),
        pytest.param({"tries": 0}, "tries is 0: write a whole number from 1", id="no try"),
        pytest.param({"seconds": "60s"}, "seconds is '60s': write a number above 0", id="a time with its unit"),
    ],
)
def test_rules_of_the_wrong_kind_say_what_to_write(rules, words):
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        FetchRules(**rules)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.org/a@2x.png", "https://example.org/a@2x.png"),
        ("https://user:hunter2@example.org:8443/a.png?sig=hunter2#hunter2", "https://example.org:8443/a.png"),
        ("HTTPS://Example.org/a b.png", "https://example.org/a%20b.png"),
        ("https://example.org/a;token=hunter2", "https://example.org/a;token=***"),
        ("https://user:hun/ter2@example.org/a.png", "***"),
        ("user:hunter2@example.org/a.png", "***"),
        ("file:///etc/passwd", "file:///etc/passwd"),
        ("no\nurl?hunter2", "no?url"),
        ("https://example.org/\x1b[31m\u202e", "https://example.org/%1B%5B31m%E2%80%AE"),
    ],
)
@pytest.mark.fault(23)
def test_a_url_is_shown_without_what_may_be_secret_and_on_one_line(url, shown):
    assert shown_url(url) == shown


JUNK = st.text(st.sampled_from(":?#@[]\\% ab1\t"), max_size=4)


@pytest.mark.fault(23)
@given(start=st.sampled_from(["https://", "https:", "//", "https:/", "https:///", "https:\\\\", ""]), before=JUNK, after=JUNK, path=JUNK)
def test_what_stands_before_the_at_or_after_the_question_mark_is_never_shown(start, before, after, path):
    assert "hunter2" not in shown_url(f"{start}u{before}:{after}hunter2{after}@example.org/{path}")
    assert "hunter2" not in shown_url(f"{start}example.org/{path}?{before}hunter2{after}")
    assert "hunter2" not in shown_url(f"{start}example.org/{path}#{before}hunter2{after}")
