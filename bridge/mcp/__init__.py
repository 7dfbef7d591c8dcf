"""What assistants may ask a bridge, and command where that is allowed: a server of the Model Context Protocol."""

from bridge.mcp.server import build_server, serve_stdio

__all__ = ["build_server", "serve_stdio"]
