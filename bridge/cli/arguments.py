"""Arguments that several commands take, and how their texts are checked."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bridge.addresses import check_url, url_of

Value = TypeVar("Value")


def default_url() -> str:
    """Return TRAINBRIDGE_URL, else where a bridge with this environment serves its pages."""
    url = os.environ.get("TRAINBRIDGE_URL")
    return url or url_of(os.environ.get("TRAINBRIDGE_HTTP_ADDRESS") or "127.0.0.1:8080")


def http_url(text: str) -> str:
    """Return an http(s) URL without trailing slash."""
    return checked(check_url, text, "a URL such as http://127.0.0.1:8080")


def checked(read: Callable[[str], Value], text: str, example: str) -> Value:
    """Return what `read` makes of a text; its ValueError becomes a message that says what to give instead."""
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give {example}") from error


def write_ports_file(path: Path, **ports: int) -> None:
    """Write the file in one step, so that nobody reads half of it."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(ports) + "\n")
    unfinished.replace(path)
