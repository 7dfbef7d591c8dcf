"""The HTTP door: pages, images, /metrics and the API."""

from bridge.web.app import build_app, serve_http
from bridge.web.dependencies import (
    Archive,
    Check,
    Confusion,
    Exposition,
    MetricsPage,
    OrderCommand,
    Parts,
)
from bridge.web.listener import Listener, listening

__all__ = [
    "Archive",
    "Check",
    "Confusion",
    "Exposition",
    "Listener",
    "MetricsPage",
    "OrderCommand",
    "Parts",
    "build_app",
    "listening",
    "serve_http",
]
