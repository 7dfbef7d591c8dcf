"""Which proxies are believed about the clients whose requests they pass on."""

import ipaddress
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks of the proxies that are believed."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, text: str) -> "TrustedProxies":
        """Return those of a setting: networks and addresses, separated by spaces."""
        return cls(tuple(ipaddress.ip_network(part) for part in text.split()))

    def __contains__(self, address: str) -> bool:
        """Return whether a proxy has this address."""
        plain = plain_address(address) if self.networks else ""
        if not plain:
            return False
        found = ipaddress.ip_address(plain)
        return any(found in network for network in self.networks)


NO_PROXIES = TrustedProxies()
"""Nobody is believed."""


def plain_address(text: str) -> str:
    """Return an address as it is compared, "" for what is none.

    An IPv4 address that came over IPv6 is an IPv4 address, and the name of an interface is left out.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)
