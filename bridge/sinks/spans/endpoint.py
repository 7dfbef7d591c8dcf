"""Where spans are sent, how, and under which name."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from bridge.addresses import otlp_port_hint


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
    resource_attributes: Mapping[str, str] = field(default_factory=dict)
    """What an operator adds to the resource; all of it but service.name replaces ours."""
    timeout_seconds: float = 10.0
    """The time for one export, from connecting to the last byte of the answer."""
    compression: Literal["none", "gzip"] = "none"
    ca_file: str = ""
    """PEM; "": the authorities that the system trusts."""
    client_cert_file: str = ""
    client_key_file: str = ""
    """PEM, both or neither."""

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("https://")

    @property
    def host(self) -> str:
        """The host name or address, without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, which is the scheme's where the URL has none."""
        return urlsplit(self.url).port or (443 if self.is_tls else 80)

    @property
    def port_hint(self) -> str:
        """What to change where the port is the usual one of the other protocol, else ""."""
        return otlp_port_hint(self.url, self.protocol)
