"""One address means the same on each server of the bridge."""

import socket
from contextlib import asynccontextmanager

import pytest

from bridge import sockets
from bridge.addresses import split_address
from bridge.errors import SettingError
from bridge.receiver.server import bind_server
from bridge.sockets import bound_sockets
from bridge.web import bind_listener

V4, V6 = "127.0.0.1", "::1"


def has_ipv6():
    """Return whether this machine has the loopback address of IPv6."""
    try:
        with socket.create_server((V6, 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


HERE = {V4, V6} if has_ipv6() else {V4}
"""The loopback addresses of this machine."""

MEANINGS = {
    "127.0.0.1:0": {V4},
    "0.0.0.0:0": {V4},
    "[::1]:0": {V6},
    "[::]:0": {V4, V6},
}


@asynccontextmanager
async def http(address):
    """The HTTP server's sockets; yields host:port."""
    with bind_listener(address) as listener:
        yield listener.address


@asynccontextmanager
async def grpc(address):
    """The gRPC server, serving; yields host:port."""
    async with bind_server(address, max_message_bytes=1 << 20, lookahead_bytes=1 << 18) as server:
        await server.server.start()
        yield server.address


def answers(host, port):
    """Return whether somebody takes a connection."""
    try:
        socket.create_connection((host, port), timeout=60).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("door", [http, grpc])
@pytest.mark.parametrize(("address", "meant"), MEANINGS.items())
async def test_both_servers_take_what_an_address_means(door, address, meant):
    """[::] takes both families, 0.0.0.0 only IPv4, and each address itself."""
    if not meant & HERE:
        with pytest.raises(SettingError, match="not an address of this machine"):
            async with door(address):
                pass
        return
    async with door(address) as bound:
        host, port = split_address(bound)
        assert host == split_address(address)[0]
        assert {one for one in (V4, V6) if answers(one, port)} == meant & HERE


@pytest.mark.parametrize("door", [http, grpc])
async def test_a_name_is_all_of_its_addresses(monkeypatch, door):
    """Both servers take what the name stands for here, on one port, and leave out what the machine does not have."""
    found = [
        (family, 0, 0, "", (host, 0))
        for family, host in ((socket.AF_INET, V4), (socket.AF_INET6, V6))
    ]
    monkeypatch.setattr(sockets.socket, "getaddrinfo", lambda *_, **__: found)
    async with door("bridge.example:0") as bound:
        host, port = split_address(bound)

        assert host == "bridge.example"
        monkeypatch.undo()
        assert {one for one in (V4, V6) if answers(one, port)} == HERE


def test_the_wildcard_of_ipv6_is_a_socket_for_both_families():
    """Whatever net.ipv6.bindv6only says; this holds also where the tests cannot connect by IPv6."""
    if not socket.has_ipv6:
        pytest.skip("Python was built without IPv6")
    asked = []

    class Recorded(socket.socket):
        def setsockopt(self, *arguments):
            asked.append(arguments)

        def bind(self, address):
            asked.append(address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sockets.socket, "socket", Recorded)
        for host in ("::", "::1"):
            sockets._bound(socket.AF_INET6, host, 0).close()
    option = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)

    assert [one[2] for one in asked if one[:2] == option] == [False, True]


def test_a_machine_without_ipv6_has_every_address_all_the_same(monkeypatch):
    """[::] is then all of IPv4, so that a chart needs only one value."""
    real = sockets._bound

    def without(family, host, port):
        if family == socket.AF_INET6:
            raise OSError(sockets.errno.EAFNOSUPPORT, "no IPv6")
        return real(family, host, port)

    monkeypatch.setattr(sockets, "_bound", without)
    with bound_sockets("[::]:0", "http_address") as bound:
        assert bound.sockets[0].getsockname()[0] == "0.0.0.0"


@pytest.mark.parametrize(("door", "setting"), [(http, "http_address"), (grpc, "grpc_address")])
async def test_a_port_that_is_taken_is_one_sentence(door, setting):
    """The address, the cause and the way out, without brackets in brackets."""
    with socket.create_server((V4, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingError) as caught:
            async with door(f"{V4}:{port}"):
                pass

    flag = setting.replace("_", "-")
    assert str(caught.value) == (
        f"{setting} is {V4}:{port}, where another program listens already: stop that program, or set"
        f" {setting} (--{flag}) to another port; port 0 takes a free one"
    )


@pytest.mark.parametrize("door", [http, grpc])
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("192.0.2.1:8080", "not an address of this machine"),
        ("bridge.invalid:8080", "whose host name is unknown"),
    ],
)
async def test_what_this_machine_does_not_have_is_named(door, address, words):
    """A foreign address, a name that nobody knows."""
    with pytest.raises(SettingError, match=words):
        async with door(address):
            pass


def test_a_port_for_the_administrator_is_named(monkeypatch):
    """Ports below 1024 need a privilege on most machines."""

    def refuse(*_):
        raise PermissionError(sockets.errno.EACCES, "Permission denied")

    monkeypatch.setattr(sockets, "_bound", refuse)
    with (
        pytest.raises(SettingError, match="may not use: set http_address"),
        bound_sockets("127.0.0.1:80", "http_address"),
    ):
        pass


def test_a_free_port_is_free_for_all_addresses(monkeypatch):
    """One that another program has for the second address is given up for another one."""
    real, calls = sockets._bound, []

    def first_time_taken(family, host, port):
        calls.append(host)
        if len(calls) == 2:
            raise OSError(sockets.errno.EADDRINUSE, "in use")
        return real(family, host, port)

    monkeypatch.setattr(sockets, "_bound", first_time_taken)
    monkeypatch.setattr(
        sockets,
        "_targets",
        lambda _: [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2")],
    )
    with bound_sockets("both.example:0", "http_address") as bound:
        ports = {one.getsockname()[1] for one in bound.sockets}

    assert len(ports) == 1
    assert len(calls) == 4
