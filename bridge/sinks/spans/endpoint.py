"""Where spans are sent, and under which name."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OTLP endpoint, and the identity of this bridge there."""

    url: str
    """The full URL; with http/protobuf it includes the path."""
    protocol: Literal["grpc", "http/protobuf"] = "grpc"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    service_name: str = "trainbridge"
    instance_id: str = field(default_factory=socket.gethostname)
    """Different for each bridge, and the same after its restart."""
