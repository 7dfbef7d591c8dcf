"""The bridges that share a database, as JSON."""

from typing import Any

from aiohttp import web

from bridge.web.json_response import json_response
from bridge.web.peers.overview import overview_of
from bridge.web.peers.sharing import SharingBridge


async def list_bridges(request: web.Request) -> web.Response:
    """Return which bridges there are, and what an Ack means here; raises StorageError."""
    overview = await overview_of(request)
    content = {
        "bridge_id": overview.bridge_id or None,
        "acknowledgement": overview.acknowledgement or None,
        "bridges": [_bridge_json(one, overview.bridge_id) for one in overview.bridges],
    }
    return json_response(content)


def _bridge_json(bridge: SharingBridge, own_id: str) -> dict[str, Any]:
    return {
        "bridge_id": bridge.peer.bridge_id,
        "this": bridge.peer.bridge_id == own_id,
        "url": bridge.peer.url or None,
        "version": bridge.version or None,
        "started_at": bridge.started_ms / 1000,
        "seen_seconds": bridge.seen_seconds,
        "alive": bridge.is_alive,
        "sessions": bridge.sessions,
    }
