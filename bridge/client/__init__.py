"""The SDK for training loops, and a client that queries a bridge."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bridge.client.stats import Stats
from bridge.protocol import CommandType, Status

if TYPE_CHECKING:
    from bridge.client.query import BridgeClient
    from bridge.client.session import TrainingSession

__all__ = ["BridgeClient", "CommandType", "Stats", "Status", "TrainingSession"]

_MODULES = {"BridgeClient": "bridge.client.query", "TrainingSession": "bridge.client.session"}
"""Imported when first used: a query needs no gRPC, a training loop no HTTP."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
