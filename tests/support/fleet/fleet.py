"""Bridges on one PostgreSQL behind HAProxy, with a proxy between each of them and each server of the database."""

from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.fleet.haproxy import HaProxy, running_haproxy
from support.fleet.member import Member
from support.postgres import PostgresServer, running_postgres, url_of
from support.proxy import Proxy, proxying
from support.waiting import until_true

DATABASE = "trainbridge"

FLAGS = ("--heartbeat-seconds", "2", "--images-keep", "all")
"""Settings of all bridges, besides where they listen and what they share."""


@dataclass
class Fleet:
    """All of it while it runs."""

    members: list[Member]
    proxy: HaProxy
    store: Path
    """Where all bridges put images."""
    primary: PostgresServer | None = None
    standby: PostgresServer | None = None
    outages: list[list[float]] = field(default_factory=list)
    """When, from and to, the whole fleet was without its database; seconds since 1970."""

    @property
    def live(self) -> list[Member]:
        """The bridges that are ready, and to which nothing has been done."""
        return [member for member in self.members if member.bridge is not None]

    def restart(self, member: Member) -> None:
        """Start a bridge, and wait until HAProxy sends it connections."""
        member.start()
        until_true(lambda: self.proxy.is_up(member.name), what=f"{member.name} gets connections")

    def fail_over(self) -> None:
        """Kill the primary, and make the standby the primary."""
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, None

    def query(self, text: str, *parameters) -> list[tuple]:
        """Ask the database itself, past all bridges."""
        return self.primary.query(text, *parameters, database=DATABASE)


@contextmanager
def running_fleet(
    folder: Path, bridges: int = 3, *, flags: Sequence[str] = FLAGS, standby: bool = False
):
    """Run so many bridges on a PostgreSQL of their own, with a synchronous standby if wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        primary = stack.enter_context(running_postgres())
        primary.query(f"CREATE DATABASE {DATABASE}")
        other = stack.enter_context(primary.standby(synchronous=True)) if standby else None
        servers = [primary, other] if other else [primary]
        members = []
        for number in range(bridges):
            ways = [stack.enter_context(proxying(server.address)) for server in servers]
            url = url_of([way.address for way in ways], DATABASE)
            members.append(_member(folder, number, flags, state=url, ways=ways))
        with _together(stack, folder, members) as fleet:
            fleet.primary, fleet.standby = primary, other
            yield fleet


@contextmanager
def running_alone(folder: Path, *, flags: Sequence[str] = FLAGS):
    """Run one bridge with a state folder behind HAProxy: what a fleet is compared with."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack, _together(stack, folder, [_member(folder, 0, flags)]) as fleet:
        yield fleet


def _member(
    folder: Path, number: int, flags: Sequence[str], *, state: str = "", ways: Sequence[Proxy] = ()
):
    name = f"bridge-{number}"
    store = ("--images-store", (folder / "store").as_uri())
    (folder / name).mkdir()
    return Member(name, folder / name, (*flags, *store), state=state, ways=ways)


@contextmanager
def _together(stack: ExitStack, folder: Path, members: list[Member]):
    (folder / "store").mkdir()
    proxy = stack.enter_context(running_haproxy(folder, [member.server for member in members]))
    for member in members:
        stack.callback(member.close)
        member.launch()
    for member in members:
        member.ready()
        until_true(
            lambda member=member: proxy.is_up(member.name), what=f"{member.name} gets connections"
        )
    yield Fleet(members, proxy, folder / "store")
