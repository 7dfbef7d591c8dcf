"""The HTTP server: pages, images, /metrics and the API."""

from bridge.web.alerts.bounds import AlertBounds
from bridge.web.app import build_app
from bridge.web.dependencies import (
    AppDependencies,
    Archive,
    Check,
    Confusion,
    Exposition,
    MetricsPage,
    SubmitCommand,
)
from bridge.web.http_connections import HttpConnectionLimits
from bridge.web.listener import bind_listener
from bridge.web.pages.tiles import TileDecoder, TileLimits
from bridge.web.server import serve_http
from bridge.web.tls import HttpTls
from bridge.web.trusted_proxies import TrustedProxies

__all__ = [
    "AlertBounds",
    "AppDependencies",
    "Archive",
    "Check",
    "Confusion",
    "Exposition",
    "HttpConnectionLimits",
    "HttpTls",
    "MetricsPage",
    "SubmitCommand",
    "TileDecoder",
    "TileLimits",
    "TrustedProxies",
    "bind_listener",
    "build_app",
    "serve_http",
]
