"""Settings of a bridge that shares its state with others, in one PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from bridge.addresses import WILDCARDS, is_loopback, split_address
from bridge.config.fields import Endpoint, Text, setting
from bridge.config.state_url import has_password

SHARED_SHARD_SECONDS = 5.0
OWN_SHARD_SECONDS = 30.0
"""How long images lie on a bridge's disk alone: the sooner they are uploaded, the fewer go with a node that dies."""


class SharedState(BaseModel):
    """How a bridge works with others whose `state` is the same PostgreSQL; none of it is read with a folder."""

    spool_folder: Text = setting(
        "./trainbridge-spool",
        "The folder of this bridge alone for images waiting for the object store, when `state` is a PostgreSQL.",
        expected="a folder that can be written to",
    )
    peer_url: Endpoint | None = setting(
        None,
        "Where the other bridges on the same PostgreSQL reach this one over HTTP.",
        expected="http:// or https:// with a host or address that the other bridges reach, such as http://10.0.0.7:8080",
        default_text="http://<http address>, or https:// with http_tls_cert_file",
    )
    database_pool_size: int = setting(
        4,
        "Connections to the PostgreSQL for reads, of pages and of the API; a bridge has up to three more.",
        expected="a whole number from 1 to 100, such as 4",
        ge=1,
        le=100,
    )
    bridge_dead_seconds: float = setting(
        30.0,
        "A bridge that has not written to the PostgreSQL for this long is dead: the others take over its sessions.",
        expected="a number of seconds from 5 to 3600, such as 30",
        ge=5,
        le=3600,
    )
    bridge_forget_seconds: float = setting(
        600.0,
        "A bridge that has been dead for this long is forgotten: images that only its disk had count as lost.",
        expected="a number of seconds, more than `bridge_dead_seconds`, such as 600",
        gt=0,
    )


def check_shared_state(settings: Any) -> None:
    """Refuse what several bridges cannot work with; raises ValueError."""
    if settings.state_url is None:
        return
    if settings.bridge_forget_seconds <= settings.bridge_dead_seconds:
        raise ValueError("bridge_forget_seconds: which is not longer than bridge_dead_seconds")
    host, _ = split_address(settings.http_address)
    if settings.peer_url is None and host in WILDCARDS:
        raise ValueError(
            f"peer_url: though http_address {settings.http_address} is not an address that other bridges can reach, and those"
            " on the same PostgreSQL ask this one for pages and images"
        )
    if settings.peer_url is not None and urlsplit(settings.peer_url).hostname in WILDCARDS:
        raise ValueError("peer_url: which is not an address that other bridges can reach")
    if settings.images_keep != "none":
        _check_images_store(settings)


def _check_images_store(settings: Any) -> None:
    """Refuse a store that only this bridge has."""
    if settings.images_store is None:
        raise ValueError(
            "images_store: though several bridges share the state, and each of them shows images that the others have received"
        )
    store = urlsplit(settings.images_store)
    if store.scheme == "file" and Path(unquote(store.path)).is_relative_to(settings.state_folder):
        raise ValueError("images_store: which lies in spool_folder, where only this bridge sees it")


def shared_state_cautions(settings: Any, *, is_flag: bool) -> Iterator[str]:
    """Yield what works, and is not wise; `is_flag`: the state was given on the command line."""
    if settings.state_url is None:
        return
    if is_flag and has_password(settings.state_url):
        yield (
            "state holds a password on the command line, which every user of this machine can read: name a file that holds the"
            " URL in TRAINBRIDGE_STATE_FILE"
        )
    if settings.peer_url is None and is_loopback(settings.http_address):
        yield (
            f"http_address is {settings.http_address} and peer_url is not set: only bridges on this machine can ask this one for"
            " pages and images"
        )
