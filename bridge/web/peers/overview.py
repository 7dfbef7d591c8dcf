"""The bridges that share a database, as somebody may see them."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from bridge.errors import StorageError
from bridge.web.dependencies import deps_of
from bridge.web.identity import identity_of
from bridge.web.peers.sharing import SharingBridge


@dataclass(frozen=True, slots=True)
class Overview:
    """Which bridges there are, and what an Ack means here."""

    bridge_id: str
    """Of the one that is asked; "": it shares its database with nobody."""
    acknowledgement: str
    bridges: Sequence[SharingBridge]
    """Empty for whoever may see only some sessions."""


async def overview_of(request: web.Request) -> Overview:
    """Return the bridges that share the database; raises StorageError."""
    deps = deps_of(request)
    peers = deps.peers
    if identity_of(request).sessions:
        return Overview(peers.bridge_id, peers.acknowledgement, ())
    return Overview(
        peers.bridge_id, peers.acknowledgement, await deps.peer_threads.run(peers.bridges)
    )


async def overview_and_problem(request: web.Request) -> tuple[Overview, str]:
    """Return the same, and why no bridges are listed; "": they are."""
    try:
        return await overview_of(request), ""
    except StorageError as error:
        deps = deps_of(request)
        deps.telemetry.storage_failed("bridges", error)
        return Overview(deps.peers.bridge_id, deps.peers.acknowledgement, ()), str(error)
