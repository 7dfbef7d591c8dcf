"""The parts of a setting's definition: `setting` with its texts, and the types of values."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, SecretStr

from bridge.addresses import check_url, split_address, split_headers
from bridge.config.attributes import split_attributes
from bridge.config.frame_ancestors import check_frame_ancestors, check_grafana_url
from bridge.config.state_url import check_state

HOST_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f:]+")
"""A name without a port, perhaps for all names below it; or an IPv6 address."""

KUBERNETES_SIZE = re.compile(r"[0-9]+(\.[0-9]+)? ?[kmgt]i?", re.IGNORECASE)
REGION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """What is known of a setting beside its type, default and meaning."""

    expected: str
    """What may be given, to follow on "give"."""
    fallbacks: tuple[str, ...] = ()
    """Variables of other tools that are read when ours is not set, the first one first."""
    default_text: str = ""
    """The default in words, where the value would not say it."""


def setting(
    default: Any,
    meaning: str,
    *,
    expected: str,
    fallbacks: Sequence[str] = (),
    default_text: str = "",
    **bounds: Any,
) -> Any:
    """Return the field of a setting; `bounds` are those of pydantic's Field."""
    info = SettingInfo(expected, tuple(fallbacks), default_text)
    return Field(default, description=meaning, json_schema_extra={"info": info}, **bounds)  # type: ignore[dict-item]  # kept as it is, no schema is made of it


def _check_address(text: str) -> str:
    split_address(text)
    return text


def _check_store(text: str) -> str:
    parts = urlsplit(text)
    is_folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    is_bucket = parts.scheme == "s3" and bool(parts.netloc) and "@" not in parts.netloc
    if not (is_folder or is_bucket) or parts.query or parts.fragment:
        raise ValueError("which is neither file:///folder nor s3://bucket/prefix")
    return text


def _check_endpoint(text: str) -> str:
    return check_url(text, has_path=False)


def _check_region(text: str) -> str:
    if not REGION.fullmatch(text):
        raise ValueError("which is not the name of a region")
    return text


def _check_headers(secret: SecretStr) -> SecretStr:
    split_headers(secret.get_secret_value())
    return secret


def _check_attributes(text: str) -> str:
    split_attributes(text)
    return text


def _check_readable(path: Path) -> Path:
    if not path.expanduser().is_file():
        raise ValueError("which is not a file")
    return path.expanduser()


def _check_parent(path: Path) -> Path:
    if not path.expanduser().parent.is_dir():
        raise ValueError("whose folder does not exist")
    return path.expanduser()


def joined(value: object) -> object:
    """Return a list of a YAML file as it would be written on a command line."""
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _check_hosts(text: str) -> str:
    for name in text.split():
        if name != "*" and not HOST_NAME.fullmatch(name):
            raise ValueError(f"in which {name!r} is not a host name, nor *.name, nor *")
    return " ".join(text.split())


def _check_networks(text: str) -> str:
    for part in text.split():
        try:
            ipaddress.ip_network(part)
        except ValueError:
            hint = _network_hint(part)
            raise ValueError(
                f"in which {part!r} is neither a network nor an address{hint}"
            ) from None
    return " ".join(text.split())


def _network_hint(part: str) -> str:
    try:
        return f"; {ipaddress.ip_network(part, strict=False)} is one"
    except ValueError:
        return ""


def _with_unit(value: object) -> object:
    """Take a size as Kubernetes writes it, too: 10Gi is 10GiB."""
    if isinstance(value, str) and KUBERNETES_SIZE.fullmatch(value.strip()):
        return f"{value.strip()}B"
    return value


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Address = Annotated[str, AfterValidator(_check_address)]
Url = Annotated[str, AfterValidator(check_url)]
GrafanaUrl = Annotated[str, AfterValidator(check_url), AfterValidator(check_grafana_url)]
FrameAncestors = Annotated[
    str, BeforeValidator(joined), AfterValidator(check_frame_ancestors), Field(min_length=1)
]
Hosts = Annotated[str, BeforeValidator(joined), AfterValidator(_check_hosts), Field(min_length=1)]
Networks = Annotated[
    str, BeforeValidator(joined), AfterValidator(_check_networks), Field(min_length=1)
]
Endpoint = Annotated[str, AfterValidator(_check_endpoint)]
State = Annotated[str, AfterValidator(check_state), Field(min_length=1)]
Store = Annotated[str, AfterValidator(_check_store)]
ResourceAttributes = Annotated[str, AfterValidator(_check_attributes)]
Headers = Annotated[SecretStr, AfterValidator(_check_headers)]
Text = Annotated[str, Field(min_length=1)]
Size = Annotated[ByteSize, BeforeValidator(_with_unit)]
Region = Annotated[str, AfterValidator(_check_region)]
ReadableFile = Annotated[Path, AfterValidator(_check_readable)]
WritableFile = Annotated[Path, AfterValidator(_check_parent)]
LowerCase = BeforeValidator(_lowered)
