"""The HTTP server: pages, images, /metrics and the API."""

from bridge.web.app import build_app, serve_http
from bridge.web.connections import ConnectionLimits
from bridge.web.dependencies import (
    AppDependencies,
    Archive,
    Check,
    Confusion,
    Exposition,
    MetricsPage,
    SubmitCommand,
)
from bridge.web.listener import Listener, bind_listener
from bridge.web.pages.tiles import TileDecoder, TileLimits

__all__ = [
    "AppDependencies",
    "Archive",
    "Check",
    "Confusion",
    "ConnectionLimits",
    "Exposition",
    "Listener",
    "MetricsPage",
    "SubmitCommand",
    "TileDecoder",
    "TileLimits",
    "bind_listener",
    "build_app",
    "serve_http",
]
