"""The extras that a command needs, and how to install one that is missing."""

import json
import shlex
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

SERVER = "server"
DEMO = "demo"
MCP = "mcp"

LIBRARIES = {
    SERVER: frozenset(
        {
            "aiohttp",
            "alembic",
            "grpc_health",
            "grpc_reflection",
            "jinja2",
            "jwt",
            "minio",
            "msgpack",
            "opentelemetry",
            "prometheus_client",
            "psycopg",
            "psycopg_pool",
            "pydantic",
            "pydantic_settings",
            "sqlalchemy",
            "urllib3",
            "yaml",
        }
    ),
    DEMO: frozenset({"numpy", "PIL", "psutil", "sklearn", "tqdm"}),
    MCP: frozenset({"mcp", "mcp_types", "pydantic"}),
}
"""What an extra brings, by the names under which it is imported."""


def libraries_of(extra: str) -> frozenset[str]:
    """Return the libraries of an extra; the demo runs a bridge."""
    return LIBRARIES[DEMO] | LIBRARIES[SERVER] if extra == DEMO else LIBRARIES[extra]


def way_to_install(extra: str) -> str:
    """Return the command that installs an extra, into this Python and from where trainbridge came."""
    source, is_editable = _source()
    if not source:
        return f"run `pip install '.[{extra}]'` in a checkout of trainbridge"
    flag = "--editable " if is_editable else ""
    python = shlex.quote(sys.executable)
    return f"run `{python} -m pip install {flag}{shlex.quote(f'{source}[{extra}]')}`"


def _source() -> tuple[str, bool]:
    """Return the folder that trainbridge was installed from, if it still is there, and whether it runs from it."""
    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file():
        return str(checkout), True
    try:
        record = json.loads(
            metadata.distribution("trainbridge").read_text("direct_url.json") or "{}"
        )
        folder = Path(unquote(urlsplit(record["url"]).path))
    except (metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        return "", False
    return (str(folder), False) if (folder / "pyproject.toml").is_file() else ("", False)
