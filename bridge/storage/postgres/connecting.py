"""Connections to a PostgreSQL that may hang, move to another machine, or stand behind a PgBouncer."""

import logging
import re
import time
from collections.abc import Generator
from difflib import get_close_matches
from typing import Any

import psycopg
from psycopg import conninfo
from psycopg.pq import Conninfo, TransactionStatus
from psycopg.types.numeric import NumericBinaryLoader, NumericLoader

from bridge.errors import SettingError

ANSWER_SECONDS = 5.0
"""A server that has sent and taken nothing for so long is given up, with the connection."""

DEFAULTS = {
    "application_name": "trainbridge",
    "connect_timeout": "3",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
}
"""What the URL may say otherwise; a timeout of connecting counts for each host."""

REQUIRED = {"target_session_attrs": "read-write", "client_encoding": "UTF8"}
"""Nothing is read from a replica: it may not have yet what this bridge has acknowledged."""

PARAMETER_NAME = re.compile(r"[a-z][a-z_]{2,39}")
"""What is repeated of a URL as the name of a parameter; anything else may be a part of a password."""

NOT_A_URL = (
    "state: is not a URL of PostgreSQL. Write postgresql://user@host:5432/database; in a user name or"
    " password, write % @ : / ? # and spaces as %25 %40 %3A %2F %3F %23 and %20"
)

Waiting = Generator[Any, Any, Any]

# Whoever waits for a connection gets an error that says more, and never a password.
for name in ("psycopg", "psycopg.pool"):
    logging.getLogger(name).setLevel(logging.ERROR)


class DatabaseAddress:
    """Where a database is, as a URL or as keywords of libpq; prints without its password."""

    def __init__(self, url: str) -> None:
        """Read it; raises SettingError, which repeats nothing of it: a password may stand in any part."""
        try:
            given = conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            raise SettingError(_unknown_parameter(url) or NOT_A_URL) from None
        self.parameters = {**DEFAULTS, **given, **REQUIRED}
        self._password = str(given.get("password") or "")
        ports = str(given.get("port") or "").split(",")
        # A password with / in it begins what libpq takes for the name of a database.
        path = url.partition("://")[2].partition("/")[2].partition("?")[0]
        if "@" in f"{given.get('host') or ''}{path}" or not all(
            port == "" or port.isdecimal() for port in ports
        ):
            raise SettingError(NOT_A_URL)

    def __str__(self) -> str:
        """Return database, hosts and ports."""
        database = self.parameters.get("dbname") or self.parameters.get("user") or "(default)"
        hosts = str(self.parameters.get("host") or self.parameters.get("hostaddr") or "localhost")
        ports = str(self.parameters.get("port") or "").split(",")
        names = hosts.split(",")
        if len(ports) < len(names):
            ports = [ports[0]] * len(names)
        places = (f"{name}:{port or 5432}" for name, port in zip(names, ports, strict=False))
        return f"{database} at {', '.join(places)}"

    def redacted(self, text: str) -> str:
        """Return a text of the server or of libpq on one line, without the password."""
        line = "; ".join(part.strip() for part in text.splitlines() if part.strip())
        return line.replace(self._password, "***") if self._password else line

    def connect(self, **changes: str) -> "BoundedConnection":
        """Connect to whichever host takes writes; `changes` says otherwise. Raises psycopg.OperationalError."""
        connection = BoundedConnection.connect(**{**self.arguments(), **changes})
        try:
            configure(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def arguments(self) -> dict[str, Any]:
        """Return what psycopg takes: each statement is a transaction unless there is a BEGIN.

        Nothing is prepared on the server: PgBouncer gives each transaction another connection.
        """
        return {**self.parameters, "autocommit": True, "prepare_threshold": None}


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is given up where the server does not answer any more."""

    warning = ""
    """The last warning of the server, since it was emptied."""

    def wait(self, gen: Waiting, *arguments: Any, **options: Any) -> Any:
        """Wait for what the server does; raises psycopg.OperationalError where it does nothing at all."""
        return super().wait(_bounded(gen), *arguments, **options)

    @property
    def is_idle(self) -> bool:
        """Whether it can be used for the next transaction."""
        return self.pgconn.transaction_status == TransactionStatus.IDLE

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, failed or not."""
        return self.pgconn.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        )


class UnansweredError(psycopg.OperationalError):
    """The server neither sent nor took anything for too long."""


class _Number(NumericLoader):
    def load(self, data: Any) -> Any:
        return _number(super().load(data))


class _BinaryNumber(NumericBinaryLoader):
    def load(self, data: Any) -> Any:
        return _number(super().load(data))


def configure(connection: psycopg.Connection[Any]) -> None:
    """Have sums come as int or float, as SQLite's do, remember warnings, and bound queries."""
    connection.adapters.register_loader("numeric", _Number)
    connection.adapters.register_loader("numeric", _BinaryNumber)
    connection.add_notice_handler(lambda notice: _remember(connection, notice))
    connection.execute(f"SET statement_timeout = {round(ANSWER_SECONDS * 800)}")


def _unknown_parameter(url: str) -> str:
    """Return which parameter of a URL libpq does not know; "" where none is, or where a password may be taken for one."""
    before, _, query = url.partition("?")
    if "://" not in before or "@" in query:
        return ""
    names = {part.partition("=")[0] for part in query.split("&") if "=" in part}
    known = [each.keyword.decode() for each in Conninfo.get_defaults()]
    unknown = sorted(name for name in names if name not in known)
    if not unknown or not all(map(PARAMETER_NAME.fullmatch, unknown)):
        return ""
    near = get_close_matches(unknown[0], known, n=1)
    instead = f"did you mean {near[0]}?" if near else "remove it."
    return (
        f"state: the URL has a parameter that PostgreSQL does not know, {unknown[0]!r}: {instead} It takes those of"
        " libpq, such as sslmode and connect_timeout"
    )


def _remember(connection: psycopg.Connection[Any], notice: psycopg.errors.Diagnostic) -> None:
    if isinstance(connection, BoundedConnection) and notice.severity_nonlocalized == "WARNING":
        connection.warning = notice.message_primary or "a warning"


def _number(value: Any) -> int | float:
    if value.is_finite() and value == value.to_integral_value():
        return int(value)
    return float(value)


def _bounded(waiting: Waiting) -> Waiting:
    """Wait as psycopg does, which looks every tenth of a second; end it where nothing has moved for long."""
    deadline = time.monotonic() + ANSWER_SECONDS
    try:
        state = next(waiting)
        while True:
            ready = yield state
            if ready:
                deadline = time.monotonic() + ANSWER_SECONDS
            elif time.monotonic() > deadline:
                waiting.close()
                raise UnansweredError(f"no answer for {ANSWER_SECONDS:g} s")
            state = waiting.send(ready)
    except StopIteration as end:
        return end.value
