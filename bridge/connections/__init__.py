"""Whether the bridge can use what it depends on: its state folder, its object store, its OTLP endpoint."""

from bridge.connections.check import Connection, ConnectionCheck, blocking, check, check_all
from bridge.connections.folder import probe_folder
from bridge.connections.watch import ConnectionWatch

__all__ = [
    "Connection",
    "ConnectionCheck",
    "ConnectionWatch",
    "blocking",
    "check",
    "check_all",
    "probe_folder",
]
