"""How a bridge gets its row among the bridges that share a database."""

import time
from dataclasses import dataclass
from typing import Any

import psycopg

from bridge.storage.postgres.bridge_rows import LOCK, REGISTER
from bridge.storage.postgres.transaction import compiled


@dataclass(frozen=True, slots=True)
class BridgeDescription:
    """What other bridges learn about one."""

    bridge_id: str
    url: str = ""
    """Where they reach it."""
    fingerprint: str = ""
    """SHA-256 of its certificate there."""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """What the database gave a bridge."""

    bridge_id: str
    number: int
    """Another than any bridge has or had."""
    generation: int
    started_ms: int
    """What distinguishes it from another process that runs as the same bridge."""
    seconds_ahead: float
    """How far the clock of this machine is ahead of that of the database; below 0: behind."""


def register(connection: psycopg.Connection[Any], bridge: BridgeDescription) -> Registration:
    """Register a bridge, in the open transaction."""
    started_ms = round(time.time() * 1000)
    connection.execute(*compiled(LOCK, {}))
    description = {
        "bridge": bridge.bridge_id,
        "url": bridge.url,
        "fingerprint": bridge.fingerprint,
        "version": bridge.version,
        "started_ms": started_ms,
    }
    [(number, generation, seen_ms)] = connection.execute(
        *compiled(REGISTER, description)
    ).fetchall()
    ahead = time.time() - seen_ms / 1000
    return Registration(bridge.bridge_id, number, generation, started_ms, ahead)
