"""Two machines as far as the network goes: namespaces with one line between them, which can go dead."""

import ctypes
import os
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import pytest
from support.tools import tool

CLONE_NEWNET = 0x40000000
"""sched.h"""

NOWHERE = "02:00:00:00:00:00"
"""An Ethernet address that nobody has."""


@dataclass(frozen=True)
class Host:
    """One end of the line."""

    name: str
    address: str
    """Of IPv4, in a network that is for tests (RFC 5737)."""

    @contextmanager
    def entered(self):
        """Have the calling thread, and every process it starts, live here until the block is left."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(Path(f"/run/netns/{self.name}"))
            yield
        finally:
            _set_namespace(home)
            os.close(home)


@dataclass(frozen=True)
class Line:
    """Two hosts and the line between them."""

    hosts: tuple[Host, Host]

    def cut(self):
        """Lose every packet from now on, either way, and say so to nobody.

        Frames go out to an address that is not the other end's, which drops them: unlike a link
        that is down, no program notices.
        """
        for here, there in (self.hosts, self.hosts[::-1]):
            _ip("-n", here.name, "neigh", "replace", there.address, "lladdr", NOWHERE,
                "dev", "line", "nud", "permanent")  # fmt: skip  # flags beside their values

    def mend(self):
        """Pass packets again."""
        for here, there in (self.hosts, self.hosts[::-1]):
            _ip("-n", here.name, "neigh", "del", there.address, "dev", "line")


@contextmanager
def line():
    """Make two hosts and a line; both are gone behind the block. A test that may not is skipped."""
    tag = token_hex(3)
    hosts = (Host(f"tb-{tag}-a", "192.0.2.1"), Host(f"tb-{tag}-b", "192.0.2.2"))
    with ExitStack() as stack:
        for host in hosts:
            try:
                _ip("netns", "add", host.name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"ip: {error.stderr.decode().strip()}")
            stack.callback(_ip, "netns", "del", host.name)
        first, second = (host.name for host in hosts)
        _ip("-n", first, "link", "add", "line", "type", "veth", "peer", "line", "netns", second)
        for host in hosts:
            _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "line")
            for device in ("lo", "line"):
                _ip("-n", host.name, "link", "set", device, "up")
        yield Line(hosts)


def _enter(namespace):
    file = os.open(namespace, os.O_RDONLY)
    try:
        _set_namespace(file)
    finally:
        os.close(file)


def _set_namespace(file):
    """Call setns(2), which Python has from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments):
    subprocess.run([tool("ip"), *arguments], check=True, capture_output=True)
