"""Settings of what the bridge serves: its addresses, its pages, its clients and its log."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ByteSize

from bridge.config.fields import (
    Address,
    FrameAncestors,
    GrafanaUrl,
    Hosts,
    LowerCase,
    Networks,
    Size,
    Url,
    WritableFile,
    setting,
)


class Listening(BaseModel):
    """Addresses of the bridge, and where they are written."""

    grpc_address: Address = setting(
        "127.0.0.1:50051",
        "The address that training processes connect to. Port 0 picks a free one.",
        expected="host:port, such as 127.0.0.1:50051, or 0.0.0.0:50051 for every interface",
    )
    http_address: Address = setting(
        "127.0.0.1:8080",
        "The address of the pages, /metrics and the API. Port 0 picks a free one.",
        expected="host:port, such as 127.0.0.1:8080, or 0.0.0.0:8080 for every interface",
    )
    public_url: Url | None = setting(
        None,
        "The base URL of links to this bridge, in spans, on pages and in bridge_build_info; with a path, pages are served below it too.",
        expected="a URL such as https://trainbridge.example.org",
        default_text="http://<http address>, or https:// with http_tls_cert_file",
    )
    allowed_hosts: Hosts | None = setting(
        None,
        "Names under which the bridge answers over HTTP, besides the one in `public_url`, this machine's name, IP "
        "addresses, names without a dot and those of private networks (localhost, .local, .internal, .svc): under "
        "any other, a page of another site could read the bridge's (DNS rebinding).",
        expected="host names separated by spaces, such as trainbridge.example.org, *.example.org for all below it, or * "
        "for every name",
    )
    trusted_proxies: Networks | None = setting(
        None,
        "The proxies that are believed about where a request comes from and whether over TLS (X-Forwarded-For, "
        "X-Forwarded-Proto): their clients are limited, logged and kept in the history of commands by their own addresses. "
        "From anybody else, these headers are ignored.",
        expected="networks or addresses separated by spaces, such as 10.0.0.0/8 192.0.2.7",
    )
    ports_file: WritableFile | None = setting(
        None,
        'A file that gets {"grpc": port, "http": port} as soon as the bridge is ready.',
        expected="a file name in a folder that exists",
    )
    config: Path | None = setting(
        None,
        "A YAML file with these settings, under the same names with underscores.",
        expected="the name of a YAML file",
    )


class Pages(BaseModel):
    """How pages link to Grafana, and who may frame them."""

    grafana_url: GrafanaUrl | None = setting(
        None,
        "Where Grafana is: pages link to the boards there, and its panels may show pages in a frame.",
        expected="a URL such as https://grafana.example.org",
    )
    frame_ancestors: FrameAncestors | None = setting(
        None,
        "Who else may show pages in a frame, as sources of a Content-Security-Policy; the bridge itself and "
        "`grafana_url` always may, unless this is 'none'.",
        expected="origins separated by spaces, such as https://portal.example.org https://*.example.com, or 'none'",
        default_text="'self'",
    )


class Sessions(BaseModel):
    """When a session counts as disconnected or lost, and how long it stays."""

    heartbeat_seconds: float = setting(
        20.0,
        "The interval at which clients send heartbeats; a session that misses three counts as disconnected.",
        expected="a number of seconds from 0.1 to 3600, such as 20",
        ge=0.1,
        le=3600,
    )
    session_lost_seconds: float = setting(
        3600.0,
        "A session that sends nothing for this long counts as lost.",
        expected="a number of seconds, at least three times `heartbeat_seconds`, such as 3600",
        gt=0,
    )
    session_release_seconds: float = setting(
        5.0,
        "How long a session still belongs to its process once its last stream has closed; after that another one may register its "
        "name, and begins a new attempt. A process that falls silent with its stream open has three heartbeats.",
        expected="a number of seconds, at least 0, such as 5",
        ge=0,
    )
    session_unused_seconds: float = setting(
        900.0,
        "A session that was registered and never sent a message is forgotten after this long while more than half of "
        "`max_sessions` are in memory; otherwise it has `session_lost_seconds`, as it may still be loading its data.",
        expected="a number of seconds, at least three times `heartbeat_seconds`, such as 900",
        gt=0,
    )
    session_linger_seconds: float = setting(
        300.0,
        "How long the series of a session stay on /metrics after its end; its pages stay.",
        expected="a number of seconds, at least 0, such as 300",
        ge=0,
    )
    rebalance_seconds: float = setting(
        0.0,
        "How long a session that began on another bridge stays, give or take half, before its client is asked to connect "
        "again; 0: for good. A session that began here always stays. With a PostgreSQL that bridges share: how often a "
        "stream is asked, while this bridge has more than its share of all sessions.",
        expected="a number of seconds, such as 600, or 0",
        ge=0,
    )
    sessions_keep_days: float = setting(
        90.0,
        "How long a session stays on pages after it was last heard of; then it is deleted, with its images where these "
        "lie in a folder. 0: for good.",
        expected="a number of days, such as 90, or 0",
        ge=0,
    )
    sessions_keep: int = setting(
        10_000,
        "How many sessions that are over stay, each attempt of one counted; of more than these the oldest are deleted in the same way. 0: any number.",
        expected="a whole number, such as 10000, or 0",
        ge=0,
    )
    sessions_keep_attempts: int = setting(
        100,
        "How many attempts of a session stay, the newest included; of more than these the oldest are deleted in the same "
        "way as soon as another one begins. 0: any number.",
        expected="a whole number, such as 100, or 0",
        ge=0,
    )


class Limits(BaseModel):
    """How much the bridge accepts."""

    max_sessions: int = setting(
        2000,
        "Sessions in memory at once, including ended ones that linger; this caps the number of series.",
        expected="a whole number of at least 1, such as 2000",
        ge=1,
    )
    max_new_sessions_per_minute: int = setting(
        600,
        "New sessions that may be registered per minute.",
        expected="a whole number of at least 1, such as 600",
        ge=1,
    )
    max_new_sessions_per_token: int = setting(
        300,
        "New sessions that may be registered per minute with one token, or by one identity of another kind.",
        expected="a whole number of at least 1, such as 300",
        ge=1,
    )
    max_streams: int = setting(
        2000,
        "Streams open at once.",
        expected="a whole number of at least 1, such as 2000",
        ge=1,
    )
    max_streams_per_address: int = setting(
        1000,
        "Streams open at once from one address; behind a proxy, that is the proxy's.",
        expected="a whole number of at least 1, such as 1000",
        ge=1,
    )
    max_first_messages: int = setting(
        32,
        "Clients that may be sending a message at once before they have shown that they registered; a quarter of them "
        "from one address. Each may hold `max_message_bytes`; the others wait.",
        expected="a whole number of at least 1, such as 32",
        ge=1,
    )
    first_message_seconds: float = setting(
        60.0,
        "How long a registration may take to arrive, and a stream its first message while other clients wait.",
        expected="a number of seconds from 1 to 3600, such as 60",
        ge=1,
        le=3600,
    )
    unread_seconds: float = setting(
        60.0,
        "How long a client may leave the responses of its stream unread.",
        expected="a number of seconds from 1 to 3600, such as 60",
        ge=1,
        le=3600,
    )
    grpc_max_connections: int = setting(
        4000,
        "gRPC connections open at once; one more is closed.",
        expected="a whole number of at least 1, such as 4000",
        ge=1,
        le=1_000_000,
    )
    grpc_handshake_seconds: float = setting(
        10.0,
        "How long a gRPC client may take for TLS and the settings of HTTP/2.",
        expected="a number of seconds from 1 to 3600, such as 10",
        ge=1,
        le=3600,
    )
    grpc_idle_seconds: float = setting(
        300.0,
        "How long a gRPC connection stays open without any call.",
        expected="a number of seconds from 1 to 86400, such as 300",
        ge=1,
        le=86_400,
    )
    max_message_bytes: Size = setting(
        ByteSize(32 << 20),
        "The largest message accepted from a client.",
        expected="a size from 64KiB to 1GiB, such as 32MiB",
        ge=64 << 10,
        le=1 << 30,
    )
    max_message_values: int = setting(
        131_072,
        "Values in one message, of whatever kind: predictions, classes, names ..., and in a frame of more than 1 MiB. What "
        "has more is refused before any of it is built.",
        expected="a whole number from 16384 to 16777216, such as 131072",
        ge=16_384,
        le=1 << 24,
    )
    http_max_connections: int = setting(
        1000,
        "HTTP connections open at once; one more is answered with 503 and closed.",
        expected="a whole number of at least 1, such as 1000",
        ge=1,
    )
    http_max_connections_per_address: int = setting(
        250,
        "HTTP connections open at once from one address; those of `trusted_proxies` have no limit but the one for all.",
        expected="a whole number of at least 1, such as 250",
        ge=1,
    )
    http_request_seconds: float = setting(
        30.0,
        "How long an HTTP client may take for the handshake of TLS, again to send its request, and again to take each 64 KiB of the "
        "response.",
        expected="a number of seconds from 1 to 3600, such as 30",
        ge=1,
        le=3600,
    )
    http_idle_seconds: float = setting(
        75.0,
        "How long an HTTP connection stays open between two requests.",
        expected="a number of seconds from 1 to 3600, such as 75",
        ge=1,
        le=3600,
    )
    max_metrics_pages: int = setting(
        8,
        "Different pages of /metrics that may be on their way to slow readers at once; above it, readers share the newest.",
        expected="a whole number of at least 1, such as 8",
        ge=1,
    )
    grpc_lookahead_bytes: Size = setting(
        ByteSize(256 << 10),
        "How much of a stream is buffered ahead; raise it for links with high bandwidth and latency, at the cost of memory per stream.",
        expected="a size from 64KiB to 64MiB, such as 256KiB",
        ge=64 << 10,
        le=64 << 20,
    )


class Logging(BaseModel):
    """What is logged, and how."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], LowerCase] = setting(
        "info",
        "The lowest level of events that are logged.",
        expected="debug, info, warning or error",
    )
    log_format: Literal["json", "text"] | None = setting(
        None,
        "The format of log lines on standard error.",
        expected="json or text",
        default_text="json, or text on a terminal",
    )
