"""Addresses: a vendor's URL cannot reach what the operator did not list."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.domain.bundle import Endpoint
from tasks.domain.errors import EndpointDownError, EndpointRefusedError, SettingsError
from tasks.targets.endpoint.addresses import is_public, pinned, reach_of, unwrapped

PUBLIC = "93.184.215.14"
REFUSED = {
    "nothing listed": ("", "models.example", [PUBLIC]),
    "other host listed": ("other.example", "models.example", [PUBLIC]),
    "other port": ("models.example:8080", "models.example", [PUBLIC]),
    "name at loopback": ("models.example", "models.example", ["127.0.0.1"]),
    "name at metadata": ("models.example", "models.example", ["169.254.169.254"]),
    "name at private": ("models.example", "models.example", ["10.0.0.5"]),
    "name at carrier nat": ("models.example", "models.example", ["100.64.0.1"]),
    "name at unspecified": ("models.example", "models.example", ["0.0.0.0"]),  # noqa: S104
    "name at multicast": ("models.example", "models.example", ["224.0.0.1"]),
    "one bad of two": ("models.example", "models.example", [PUBLIC, "127.0.0.1"]),
    "mapped loopback": ("models.example", "models.example", ["::ffff:127.0.0.1"]),
    "nat64 loopback": ("models.example", "models.example", ["64:ff9b::7f00:1"]),
    "6to4 private": ("models.example", "models.example", ["2002:a00:1::1"]),
    "unique local": ("models.example", "models.example", ["fd00:ec2::254"]),
    "link local": ("models.example", "models.example", ["fe80::1"]),
    "localhost elsewhere": ("localhost", "localhost", ["10.0.0.5"]),
    "decimal spelling": ("", "2130706433", ["127.0.0.1"]),
    "octal spelling": ("", "0177.0.0.1", ["127.0.0.1"]),
}
ADMITTED = {
    "listed name": ("models.example", "models.example", [PUBLIC]),
    "listed name and port": ("models.example:443", "models.example", [PUBLIC]),
    "listed address": ("10.0.0.5", "models.example", ["10.0.0.5"]),
    "listed network": ("10.0.0.0/8:443", "10.1.2.3", ["10.1.2.3"]),
    "listed loopback": ("127.0.0.1", "127.0.0.1", ["127.0.0.1"]),
    "listed six": ("[::1]:443", "::1", ["::1"]),
    "localhost": ("localhost", "localhost", ["127.0.0.1"]),
    "several entries": ("a.example,  b.example\n10.0.0.0/8", "b.example", [PUBLIC]),
}


@pytest.mark.parametrize(("allow", "host", "found"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses_after_resolution(allow: str, host: str, found: list[str]) -> None:
    with pytest.raises(EndpointRefusedError, match="PROOFHOUSE_ENDPOINTS__ALLOW="):
        pinned(host, 443, reach_of(allow), lambda *_: found)


@pytest.mark.parametrize(("allow", "host", "found"), ADMITTED.values(), ids=ADMITTED.keys())
def test_admits_what_is_listed(allow: str, host: str, found: list[str]) -> None:
    assert pinned(host, 443, reach_of(allow), lambda *_: found) == (found[0],)


@pytest.mark.parametrize("spelling", ["2130706433", "0x7f000001", "017700000001", "127.1"])
def test_other_spellings_of_loopback_resolve_and_are_refused(spelling: str) -> None:
    with pytest.raises((EndpointRefusedError, EndpointDownError)):
        pinned(spelling, 80, reach_of("models.example"))


def test_a_name_without_address_is_down() -> None:
    with pytest.raises(EndpointDownError, match="no address"):
        pinned("models.example", 443, reach_of("models.example"), lambda *_: [])


@given(st.ip_addresses())
def test_an_address_in_disguise_is_judged_by_what_it_stands_for(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    real = unwrapped(address)
    mapped = ipaddress.IPv6Address(f"::ffff:{real}") if real.version == 4 else real
    assert is_public(unwrapped(mapped)) == is_public(real)


@pytest.mark.parametrize("entry", ["a b/c", "http://x", "*.example", "x:99999", "127.1", "[x]"])
def test_a_bad_list_is_refused(entry: str) -> None:
    with pytest.raises(SettingsError, match="PROOFHOUSE_ENDPOINTS__ALLOW"):
        reach_of(f"fine.example {entry}")


ODD_URLS = [
    "file:///etc/passwd",
    "gopher://models.example/",
    "http://",
    "http://user@models.example/",
    "http://models.example@127.0.0.1/",
    "http://models.example\\@127.0.0.1/",
    "http://models.example/ x",
    "http://models.example/\r\nHost: x",
    "http://models.example:0/",
    "http://models.example:99999/",
    "http://[::1/",
    "http://mödels.example/",
    "https://models.example/#x",
]


@pytest.mark.parametrize("url", ODD_URLS)
def test_odd_urls_are_refused_in_the_manifest(url: str) -> None:
    with pytest.raises(ValidationError):
        Endpoint(url=url)


def test_a_place_is_host_and_port() -> None:
    assert Endpoint(url="https://Models.Example./x").place == ("models.example", 443)
    assert Endpoint(url="http://[::1]:8080/x").place == ("::1", 8080)
