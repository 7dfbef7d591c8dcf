"""Where a session goes and as whom: arguments first, then the environment."""

import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Literal

from bridge.client.address import parse_address
from bridge.client.credentials import as_text, check_certificates, file_content
from bridge.client.encoding.isolation import let_through
from bridge.client.token_source import TokenSource, token_source, warn_of_plain_text
from bridge.protocol import MEBIBYTE, SESSION_ID
from bridge.proxies import GRPC_VARIABLES, Proxy, is_loopback_host, proxy_for

log = logging.getLogger("trainbridge")

SPOOL_BYTES = 1_024 * MEBIBYTE
MIN_SPOOL_BYTES = MEBIBYTE

DEFAULT_ADDRESS = "127.0.0.1:50051"

PLAIN_TEXT = "put grpcs:// in front of the address where the bridge, or a proxy before it, has TLS"

TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]*)?")

Ranks = Literal["zero", "light", "all"]
"""Which processes of a run report: rank 0; all of them, the others only what they measure; or all alike."""

LAUNCHERS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("HOROVOD_RANK", "HOROVOD_SIZE"),
    ("PMIX_RANK", "PMIX_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)
"""The variables of launchers other than torchrun: the rank of a process, and how many there are."""

PREFIX_VARIABLE = "TRAINBRIDGE_SESSION_PREFIX"

SESSION_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")

MADE_NAME_LENGTH = 54
"""Of a name that is made here, so that the number of a rank may follow it."""

NODE_RANKS = ("GROUP_RANK", "NODE_RANK", "SLURM_NODEID")
"""The variables that number the nodes."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A bridge's address, and the credentials for it."""

    target: str
    """host:port, or unix:PATH."""
    secure: bool = False
    token: TokenSource = field(default_factory=TokenSource, repr=False, compare=False)
    root_certificates: bytes | None = None
    """The certificate authorities that the bridge is verified with; None: those of the system."""
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    source: str = field(default="", compare=False)
    """Where the address comes from, for people."""
    proxy: Proxy | None = None
    """What stands between; None: nothing does."""
    traceparent: str = field(default="", compare=False)

    @property
    def host(self) -> str:
        """Return the name or address in `target`, without brackets."""
        return self.target.rpartition(":")[0].strip("[]")

    @property
    def is_local(self) -> bool:
        """Return whether the bridge is on this machine."""
        return self.target.startswith("unix:") or is_loopback_host(self.host)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of every call, with the token as it was read last."""
        headers = {
            "authorization": self.token.header,
            "traceparent": self.traceparent,
        }
        return tuple((key, value) for key, value in headers.items() if value)

    def __str__(self) -> str:
        """Return the address, and where it comes from."""
        return f"{self.target} ({self.source})" if self.source else self.target


@dataclass(frozen=True, slots=True)
class ProcessRank:
    """This process among those that train together."""

    rank: int = 0
    group: str = ""
    """What the processes have in common; "" where it is not known."""
    world_size: int = field(default=0, compare=False)
    """How many processes train together; 0 where it is not known."""
    is_certain: bool = field(default=False, compare=False)
    """A process group that is created later cannot change it."""

    @property
    def is_one_of_several(self) -> bool:
        """Return whether others train with it, as far as it is known."""
        return self.rank > 0 or self.world_size > 1


def destination(
    address: object,
    *,
    token: str = "",
    token_file: str | os.PathLike[str] = "",
    ca_file: str = "",
    cert_file: str = "",
    key_file: str = "",
    environment: Mapping[str, str] = os.environ,
) -> Destination:
    """Return the address and credentials; those not given come from TRAINBRIDGE_* variables.

    What an address may be, `parse_address` says. Raises ValueError for an address, a token or files that
    cannot be used, OSError for a file that cannot be read.
    """

    def setting(argument: object, name: str) -> tuple[str, str]:
        """Return the text of a setting, and where it comes from."""
        if argument and (text := as_text(argument, name)).strip():
            return text, f"the argument {name}"
        variable = f"TRAINBRIDGE_{name.upper()}"
        return environment.get(variable, ""), variable

    text, source = setting(address, "address")
    if not text.strip():
        text, source = (
            DEFAULT_ADDRESS,
            "the default: neither address nor TRAINBRIDGE_ADDRESS is given",
        )
    found = parse_address(text, source)
    ca, cert, key = (
        setting(ca_file, "ca_file"),
        setting(cert_file, "cert_file"),
        setting(key_file, "key_file"),
    )
    root_certificates, certificate, private_key = (file_content(*file) for file in (ca, cert, key))
    uses_files = bool(ca[0] or cert[0] or key[0])
    if uses_files:
        check_certificates(ca, cert, key)
    bridge = Destination(
        found.target,
        uses_files if found.is_secure is None else found.is_secure,
        token_source(token, token_file, environment),
        root_certificates,
        certificate,
        private_key,
        source=source,
        proxy=proxy_for(found.host, found.port, variables=GRPC_VARIABLES, environment=environment)
        if found.host
        else None,
        traceparent=_traceparent(environment),
    )
    if bridge.token and not bridge.secure and not bridge.is_local:
        warn_of_plain_text(bridge.target, PLAIN_TEXT)
    return bridge


def _traceparent(environment: Mapping[str, str]) -> str:
    """Return the trace that the process belongs to; one that no header can carry would end all calls."""
    value = environment.get("TRACEPARENT", "").strip()
    if value and not TRACEPARENT.fullmatch(value):
        log.warning(
            "TRACEPARENT is not a W3C traceparent and is ignored: spans of this run get a trace of their own"
        )
        return ""
    return value


def spool_location(
    folder: str | os.PathLike[str] | None,
    limit_bytes: int | None,
    *,
    environment: Mapping[str, str] = os.environ,
) -> tuple[Path, int] | None:
    """Return the folder of the spool and its maximum size in bytes; None: no spool.

    What is not given comes from TRAINBRIDGE_SPOOL_DIR and TRAINBRIDGE_SPOOL_BYTES. Raises ValueError
    for an invalid size.
    """
    root = as_text(folder or "", "spool_dir") or environment.get("TRAINBRIDGE_SPOOL_DIR", "")
    if not root and not limit_bytes:
        return None
    size = limit_bytes or environment.get("TRAINBRIDGE_SPOOL_BYTES", "") or SPOOL_BYTES
    if not str(size).isdecimal() or int(size) < MIN_SPOOL_BYTES:
        source = "" if limit_bytes else " (TRAINBRIDGE_SPOOL_BYTES)"
        raise ValueError(
            f"spool_bytes: {str(size)[:80]!r}{source} is not a number of at least {MIN_SPOOL_BYTES}"
        )
    return (Path(root).expanduser(), int(size)) if root else None


def process_rank(environment: Mapping[str, str] = os.environ) -> ProcessRank:
    """Return which of several training processes this is.

    A process group of torch.distributed decides, then RANK, which torchrun sets. Of the other launchers'
    variables the first that is not 0 decides: a batch job's own script has SLURM_PROCID=0, and so have
    the processes that it starts by other means. The task of a job array is alone in its job.
    """
    group = _torch_group()
    rank = _number(environment, "RANK")
    run_id = environment.get("TORCHELASTIC_RUN_ID", "") if rank is not None else ""
    name = "" if run_id == "none" else run_id
    if group is not None:
        return ProcessRank(group[0], name, group[1], is_certain=True)
    if rank is not None:
        return ProcessRank(rank, name, _number(environment, "WORLD_SIZE") or 0, is_certain=True)
    candidates = [
        (number, size or 0)
        for variable, size_variable in LAUNCHERS
        if (number := _number(environment, variable)) is not None
        and (size := _number(environment, size_variable)) != 1
    ]
    local = _rank_by_node(environment)
    if local is not None:
        candidates.append((local, _number(environment, "WORLD_SIZE") or 0))
    if not candidates:
        return ProcessRank()
    number, size = max(candidates, key=lambda pair: bool(pair[0]))  # the first that is not 0
    return ProcessRank(number, "", size, is_certain=number > 0)


def _rank_by_node(environment: Mapping[str, str]) -> int | None:
    """Return the rank by LOCAL_RANK, which counts from 0 on each node; None where it is not set."""
    local = _number(environment, "LOCAL_RANK")
    if local is None:
        return None
    nodes = (_number(environment, variable) for variable in NODE_RANKS)
    node = next((number for number in nodes if number is not None), 0)
    size = _number(environment, "LOCAL_WORLD_SIZE")
    if size is None:
        size = _number(environment, "SLURM_NTASKS_PER_NODE")
    return node * max(size or 1, local + 1) + local


def _torch_group() -> tuple[int, int] | None:
    """Return rank and size of torch's process group; None where there is none yet."""
    distributed = sys.modules.get("torch.distributed")
    try:
        if distributed is None or not distributed.is_initialized():
            return None
        rank = int(distributed.get_rank())
    except Exception as error:  # noqa: BLE001 -- a build without distributed training, say: one process is rank 0
        let_through(error)
        return None
    try:
        return rank, int(distributed.get_world_size())
    except Exception as error:  # noqa: BLE001 -- the size is only used in messages
        let_through(error)
        return rank, 0


def _number(environment: Mapping[str, str], variable: str) -> int | None:
    text = environment.get(variable, "").strip()
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def session_name(
    wanted: str | None,
    model: str,
    process: ProcessRank,
    ranks: Ranks,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """Return the id of a session: the one wanted, or one derived from the model's name.

    A launcher's name for a run is appended to the model's: many jobs are started as run "100". Raises
    ValueError where the wanted id breaks the protocol's rule.
    """
    if wanted and not (isinstance(wanted, str) and SESSION_ID.fullmatch(wanted)):
        raise ValueError(
            f"session_id: {str(wanted)[:80]!r} is not up to 63 letters, digits, dots, hyphens and underscores"
            " that begin with a letter or a digit; leave it out to have one made"
        )
    name = wanted or _made_name(model, process.group, session_prefix(environment))
    if ranks == "all" and (process.rank or process.group or wanted):
        return f"{name[:54]}-rank{process.rank}"
    return name


def _made_name(model: str, group: str, prefix: str) -> str:
    room = MADE_NAME_LENGTH - len(prefix)
    end = slug(group)[:40].strip("-") or token_hex(3)
    if len(end) > room:  # two runs must not become one
        end = sha256(group.encode(errors="surrogateescape")).hexdigest()[: min(8, room)]
    stem = (slug(model) or "run")[: max(0, room - 1 - len(end))].strip("-")
    return f"{prefix}{stem}-{end}" if stem else f"{prefix}{end}"


def session_prefix(environment: Mapping[str, str] = os.environ) -> str:
    """Return what names begin with that are made here: a token may be for such sessions alone. Raises ValueError."""
    prefix = environment.get(PREFIX_VARIABLE, "").strip()
    if prefix and not SESSION_PREFIX.fullmatch(prefix):
        raise ValueError(
            f"{PREFIX_VARIABLE}: {prefix[:80]!r} is not up to 48 letters, digits, dots, hyphens and underscores that"
            " begin with a letter or a digit; give the one that the token is for, such as team-a."
        )
    return prefix


def slug(text: str) -> str:
    """Return a text as a part of a name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:48]
