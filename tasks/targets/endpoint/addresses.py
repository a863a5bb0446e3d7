"""Which addresses may be asked: a vendor's URL must not reach the operator's own network.

The vendor writes the URL, so a name proves nothing: every address that it resolves to is looked
at, and the connection goes to exactly the address that was looked at (no second resolution).
"""

import ipaddress
import re
import socket
from collections.abc import Callable
from typing import NamedTuple

from tasks.domain.errors import EndpointDownError, EndpointRefusedError, SettingsError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], list[str]]

SETTING = "PROOFHOUSE_ENDPOINTS__ALLOW"
_WEB_PORTS = frozenset({80, 443})
_ENTRY = re.compile(
    r"^(?:\[(?P<six>[0-9a-fA-F:./]+)\]|(?P<host>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?$"
)
_HOST = re.compile(r"^(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Rule(NamedTuple):
    """One entry of the operator's list: a name or a network, and a port (None: 80 and 443)."""

    name: str
    network: Network | None
    port: int | None

    def covers_port(self, port: int) -> bool:
        """Answers whether the entry speaks of this port."""
        return port in _WEB_PORTS if self.port is None else port == self.port


class Reach(NamedTuple):
    """What the operator allows; nothing by default."""

    rules: tuple[Rule, ...] = ()

    def names(self, host: str, port: int) -> bool:
        """Answers whether the operator listed this very host (by name, or as an address)."""
        return any(
            rule.covers_port(port) and (rule.name == host or _holds(rule, host))
            for rule in self.rules
        )

    def admits(self, host: str, port: int, address: Address) -> bool:
        """Answers whether ``host`` may be asked at ``address``.

        A listed name opens public addresses only. Anything else (loopback, private, link-local,
        metadata services) needs an entry of its own that names the address or its network.
        """
        listed = [rule for rule in self.rules if rule.covers_port(port)]
        by_name = any(rule.name == host for rule in listed)
        real = unwrapped(address)
        if any(rule.network is not None and real in rule.network for rule in listed):
            return True
        return by_name and (is_public(real) or (host == "localhost" and real.is_loopback))


def reach_of(text: str) -> Reach:
    """Reads a list such as ``models.acme.example, 10.1.2.0/24:8080, localhost:8000``.

    Raises:
        SettingsError: An entry is neither a host name nor an address or network.
    """
    return Reach(tuple(_rule(entry) for entry in re.split(r"[,\s]+", text.strip()) if entry))


def pinned(host: str, port: int, reach: Reach, resolve: Resolve | None = None) -> tuple[str, ...]:
    """Returns the addresses to connect to, the first choice first.

    Raises:
        EndpointRefusedError: One of the addresses is not allowed; says which entry would allow it.
        EndpointDownError: The name has no address.
    """
    try:
        found = [ipaddress.ip_address(text) for text in (resolve or _resolved)(host, port)]
    except (OSError, UnicodeError) as error:  # the latter: a label too long for a name
        raise EndpointDownError(f"the endpoint's host {host} has no address: {error}") from error
    if not found:
        raise EndpointDownError(f"the endpoint's host {host} has no address")
    # One bad address condemns the name: a resolver that mixes them is how rebinding begins.
    for address in found:
        if not reach.admits(host, port, address):
            raise EndpointRefusedError(_refusal(host, port, address))
    return tuple(dict.fromkeys(str(address) for address in found))


def is_public(address: Address) -> bool:
    """Answers whether an address belongs to the public internet."""
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
    )


def unwrapped(address: Address) -> Address:
    """Returns the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _refusal(host: str, port: int, address: Address) -> str:
    real = unwrapped(address)
    if is_public(real):
        return (
            f"the endpoint {host}:{port} is not on the list of hosts that may be asked. If it "
            f"should be, set {SETTING}={host}:{port}"
        )
    shown = f"[{real}]" if real.version == 6 else str(real)
    return (
        f"the endpoint {host}:{port} is at {address}, which is not a public address. Such "
        f"addresses are asked only when listed themselves: {SETTING}={shown}:{port}"
    )


def _rule(entry: str) -> Rule:
    match = _ENTRY.match(entry)
    host = (match["six"] or match["host"]).lower().rstrip(".") if match else ""
    port = int(match["port"]) if match and match["port"] else None
    if port is not None and not 0 < port < 1 << 16:
        raise SettingsError(f"{SETTING}: {entry!r} has no possible port")
    try:
        return Rule("", ipaddress.ip_network(host, strict=False), port)
    except ValueError:
        if not _HOST.match(host) or host.replace(".", "").isdigit():
            raise SettingsError(
                f"{SETTING}: {entry!r} is neither a host nor an address. Write host, host:port, "
                "10.1.2.0/24:8080 or [::1]:8080"
            ) from None
        return Rule(host, None, port)


def _holds(rule: Rule, host: str) -> bool:
    try:
        return rule.network is not None and ipaddress.ip_address(host) in rule.network
    except ValueError:
        return False


def _resolved(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]
