"""Where a session goes and as whom: arguments first, then the environment."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Literal

SPOOL_BYTES = 1 << 30
SMALLEST_SPOOL_BYTES = 1 << 20

DEFAULT_ADDRESS = "127.0.0.1:50051"

SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

SCHEMES = {"grpc": False, "http": False, "grpcs": True, "https": True}
"""Whether an address that starts so means TLS."""

Ranks = Literal["zero", "all"]


@dataclass(frozen=True, slots=True)
class Destination:
    """A bridge, and what it wants to see."""

    target: str
    """host:port, or anything else that gRPC resolves."""
    secure: bool = False
    token: str = field(default="", repr=False)
    authority: bytes | None = None
    """The certificates that vouch for the bridge; None: those of the system."""
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        trace = os.environ.get("TRACEPARENT", "")
        told = {"authorization": f"Bearer {self.token}" if self.token else "", "traceparent": trace}
        return tuple((key, value) for key, value in told.items() if value)


@dataclass(frozen=True, slots=True)
class Place:
    """This process among those that train together."""

    rank: int = 0
    group: str = ""
    """What the processes have in common; "" where nothing tells."""


def destination(
    address: str,
    *,
    token: str = "",
    ca_file: str = "",
    cert_file: str = "",
    key_file: str = "",
    environment: Mapping[str, str] = os.environ,
) -> Destination:
    """Read the address and credentials; what is not given comes from TRAINBRIDGE_* variables.

    An address is host:port, or with a scheme grpc://, http:// (plain), grpcs://, https:// (TLS).

    Raises ValueError for an address that is none, OSError for a file that cannot be read.
    """

    def given(argument: str, variable: str) -> str:
        return argument or environment.get(f"TRAINBRIDGE_{variable}", "")

    told = given(address, "ADDRESS") or DEFAULT_ADDRESS
    scheme, separator, target = told.rpartition("://")
    target = target.rstrip("/")
    if (separator and scheme not in SCHEMES) or not target or any(map(str.isspace, target)):
        raise ValueError(
            f"address: {told!r} is not host:port, grpc://host:port or grpcs://host:port"
        )
    authority, certificate, key = (
        _contents(given(ca_file, "CA_FILE")),
        _contents(given(cert_file, "CERT_FILE")),
        _contents(given(key_file, "KEY_FILE")),
    )
    return Destination(
        target,
        SCHEMES.get(scheme, authority is not None),
        given(token, "TOKEN") or (_contents(given("", "TOKEN_FILE")) or b"").decode().strip(),
        authority,
        certificate,
        key,
    )


def spool_place(
    folder: str, limit_bytes: int, *, environment: Mapping[str, str] = os.environ
) -> tuple[Path, int] | None:
    """Return where a spool is to be, and how large at most; None: nowhere.

    What is not given comes from TRAINBRIDGE_SPOOL_DIR and TRAINBRIDGE_SPOOL_BYTES. Raises ValueError
    for a size that is none.
    """
    told = folder or environment.get("TRAINBRIDGE_SPOOL_DIR", "")
    if not told:
        return None
    size = limit_bytes or environment.get("TRAINBRIDGE_SPOOL_BYTES", "") or SPOOL_BYTES
    if not str(size).isdecimal() or int(size) < SMALLEST_SPOOL_BYTES:
        raise ValueError(f"spool_bytes: {size!r} is no number of at least {SMALLEST_SPOOL_BYTES}")
    return Path(told).expanduser(), int(size)


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """Find out which of several training processes this is."""
    group = environment.get("TORCHELASTIC_RUN_ID", "")
    rank = environment.get("RANK", "")
    if rank.isdecimal():
        return Place(int(rank), "" if group == "none" else group)
    distributed = sys.modules.get("torch.distributed")
    try:
        if distributed is not None and distributed.is_initialized():
            return Place(int(distributed.get_rank()))
    except Exception:  # noqa: BLE001, S110 -- whatever torch makes of it, one process alone is rank 0
        pass
    return Place()


def session_name(wanted: str, model: str, where: Place, ranks: Ranks) -> str:
    """Return the id of a session: the one wanted, or one made of the model's name.

    Raises ValueError where the wanted one breaks the protocol's rule.
    """
    if wanted and not SESSION_ID.fullmatch(wanted):
        raise ValueError(f"session_id: {wanted!r} does not match {SESSION_ID.pattern}")
    name = wanted or _slug(where.group) or f"{_slug(model) or 'run'}-{token_hex(3)}"
    if ranks == "all" and (where.rank or where.group or wanted):
        return f"{name[:54]}-rank{where.rank}"
    return name


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:48]


def _contents(path: str) -> bytes | None:
    return Path(path).expanduser().read_bytes() if path else None
