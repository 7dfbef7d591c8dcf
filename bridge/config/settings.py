"""Every setting: its name, default, meaning, and what would be right."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.addresses import check_url, split_address, split_headers
from bridge.config.frame_ancestors import check_frame_ancestors, check_grafana_url
from bridge.model import MISSED_HEARTBEATS

LISTENING = "Listening"
PAGES = "Pages and Grafana"
TLS = "TLS on the gRPC door"
KEEPING = "Keeping"
IMAGES = "Images"
S3 = "S3-compatible object store"
SPANS = "Spans (OpenTelemetry)"
SESSIONS = "Sessions"
LIMITS = "Limits"
LOGGING = "Logging"

GROUPS = (LISTENING, PAGES, TLS, KEEPING, IMAGES, S3, SPANS, SESSIONS, LIMITS, LOGGING)


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a setting beside its type, default and meaning."""

    group: str
    right: str
    """What would be right, to follow on "give"."""
    fallbacks: tuple[str, ...] = ()
    """Variables of other tools that are read when ours gives nothing, the first one first."""
    default_text: str = ""
    """The default in words, where the value would not say it."""


def _setting(default: Any, group: str, meaning: str, *, right: str, fallbacks: Sequence[str] = (),
             default_text: str = "", **bounds: Any) -> Any:  # fmt: skip
    about = About(group, right, tuple(fallbacks), default_text)
    return Field(default, description=meaning, json_schema_extra={"about": about}, **bounds)  # type: ignore[dict-item]  # kept as it is, no schema is made of it


def _check_address(text: str) -> str:
    split_address(text)
    return text


def _check_store(text: str) -> str:
    parts = urlsplit(text)
    is_folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    is_bucket = parts.scheme == "s3" and bool(parts.netloc) and "@" not in parts.netloc
    if not (is_folder or is_bucket) or parts.query or parts.fragment:
        raise ValueError("neither file:///folder nor s3://bucket/prefix")
    return text


def _check_endpoint(text: str) -> str:
    return check_url(text, has_path=False)


def _check_headers(secret: SecretStr) -> SecretStr:
    split_headers(secret.get_secret_value())
    return secret


def _check_readable(path: Path) -> Path:
    if not path.expanduser().is_file():
        raise ValueError("which is no file")
    return path.expanduser()


def _check_parent(path: Path) -> Path:
    if not path.expanduser().parent.is_dir():
        raise ValueError("whose folder does not exist")
    return path.expanduser()


def _joined(value: object) -> object:
    """Return a list of a YAML file as it would be written on a command line."""
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Address = Annotated[str, AfterValidator(_check_address)]
Url = Annotated[str, AfterValidator(check_url)]
GrafanaUrl = Annotated[str, AfterValidator(check_url), AfterValidator(check_grafana_url)]
FrameAncestors = Annotated[
    str, BeforeValidator(_joined), AfterValidator(check_frame_ancestors), Field(min_length=1)
]
Endpoint = Annotated[str, AfterValidator(_check_endpoint)]
Store = Annotated[str, AfterValidator(_check_store)]
Headers = Annotated[SecretStr, AfterValidator(_check_headers)]
Text = Annotated[str, Field(min_length=1)]
ReadableFile = Annotated[Path, AfterValidator(_check_readable)]
WritableFile = Annotated[Path, AfterValidator(_check_parent)]


class Settings(BaseSettings):
    """How one bridge runs. The same names are flags, TRAINBRIDGE_* variables and YAML keys."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="TRAINBRIDGE_",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    grpc_address: Address = _setting(
        "127.0.0.1:50051", LISTENING,
        "Where training processes connect. Port 0 takes a free one.",
        right="host:port, such as 127.0.0.1:50051, or 0.0.0.0:50051 for every interface",
    )  # fmt: skip
    http_address: Address = _setting(
        "127.0.0.1:8080", LISTENING,
        "Where the pages, /metrics and the API are served. Port 0 takes a free one.",
        right="host:port, such as 127.0.0.1:8080, or 0.0.0.0:8080 for every interface",
    )  # fmt: skip
    public_url: Url | None = _setting(
        None, LISTENING,
        "What links to this bridge begin with, in spans, on pages and in bridge_build_info.",
        right="a URL such as https://trainbridge.example.org",
        default_text="http://<http address>",
    )  # fmt: skip
    ports_file: WritableFile | None = _setting(
        None, LISTENING,
        'A file to write {"grpc": port, "http": port} to as soon as the bridge is ready.',
        right="a file name in a folder that exists",
    )  # fmt: skip
    config: Path | None = _setting(
        None, LISTENING,
        "A YAML file with these settings, under the same names with underscores.",
        right="the name of a YAML file",
    )  # fmt: skip

    grafana_url: GrafanaUrl | None = _setting(
        None, PAGES,
        "Where Grafana is: pages link to the boards there, and its panels may show pages in a frame.",
        right="a URL such as https://grafana.example.org",
    )  # fmt: skip
    frame_ancestors: FrameAncestors | None = _setting(
        None, PAGES,
        "Who else may show pages in a frame, as sources of a Content-Security-Policy; the bridge itself and "
        "`grafana_url` always may, unless this is 'none'.",
        right="origins separated by spaces, such as https://portal.example.org https://*.example.com, or 'none'",
        default_text="'self'",
    )  # fmt: skip

    tls_cert_file: ReadableFile | None = _setting(
        None, TLS,
        "The bridge's certificate and the chain behind it; renewed files are taken without a restart.",
        right="a PEM file, with `tls_key_file` beside it",
    )  # fmt: skip
    tls_key_file: ReadableFile | None = _setting(
        None, TLS,
        "The key of the certificate.",
        right="a PEM file, with `tls_cert_file` beside it",
    )  # fmt: skip
    tls_client_ca_file: ReadableFile | None = _setting(
        None, TLS,
        "The certificates that vouch for clients: with it, only clients with such a certificate are let in.",
        right="a PEM file, with `tls_cert_file` and `tls_key_file` beside it",
    )  # fmt: skip

    state: Text = _setting(
        "./trainbridge-state", KEEPING,
        "The folder for the database, the spool and, unless told otherwise, the images; or `memory`: "
        "a temporary folder that goes with the bridge.",
        right="a folder that can be written to, or memory",
    )  # fmt: skip
    spool_max_bytes: ByteSize = _setting(
        ByteSize(10 << 30), KEEPING,
        "How much the images waiting for the object store may take; what comes then is dropped and counted.",
        right="a size of at least 1MiB, such as 10GiB", ge=1 << 20,
    )  # fmt: skip
    shutdown_grace_seconds: float = _setting(
        20.0, KEEPING,
        "How long a stopping bridge goes on delivering what it holds.",
        right="a number of seconds from 0 to 3600, such as 20", ge=0, le=3600,
    )  # fmt: skip

    images_store: Store | None = _setting(
        None, IMAGES,
        "Where shards of images end up.",
        right="file:///folder or s3://bucket/prefix",
        default_text="file://<state>/images",
    )  # fmt: skip
    images_keep: Literal["sample", "all", "none"] = _setting(
        "sample", IMAGES,
        "Which images are kept: a sample (the batch with the highest loss of each window of time, and the "
        "first of each epoch), all, or none.",
        right="sample, all or none",
    )  # fmt: skip
    images_batches_per_second: float = _setting(
        2.0, IMAGES,
        "How many batches with images are kept of each session when sampling.",
        right="a number above 0 and up to 1000, such as 2", gt=0, le=1000,
    )  # fmt: skip

    s3_endpoint: Endpoint = _setting(
        "https://s3.amazonaws.com", S3,
        "The address of the store, when `images_store` is s3://...",
        right="http:// or https:// with host and port, without a path, such as https://s3.example.org:9000",
        fallbacks=("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    )  # fmt: skip
    s3_region: Text = _setting(
        "us-east-1", S3,
        "The region to sign requests for.",
        right="the name of a region, such as us-east-1",
        fallbacks=("AWS_REGION", "AWS_DEFAULT_REGION"),
    )  # fmt: skip
    s3_access_key: SecretStr | None = _setting(
        None, S3,
        "The access key, together with `s3_secret_key`; none: what ~/.aws/credentials or the role of the machine gives.",
        right="the access key of an account that may read and write the bucket",
        fallbacks=("AWS_ACCESS_KEY_ID",),
    )  # fmt: skip
    s3_secret_key: SecretStr | None = _setting(
        None, S3,
        "The secret key that belongs to `s3_access_key`.",
        right="the secret key that belongs to the access key",
        fallbacks=("AWS_SECRET_ACCESS_KEY",),
    )  # fmt: skip
    s3_path_style: bool | None = _setting(
        None, S3,
        "Whether the bucket stands in the path of a request rather than in its host name.",
        right="true or false",
        default_text="true, but at amazonaws.com false",
    )  # fmt: skip
    s3_ca_file: ReadableFile | None = _setting(
        None, S3,
        "Certificates (PEM) to trust when the store's own authority signed its certificate.",
        right="the name of a PEM file",
        fallbacks=("AWS_CA_BUNDLE",),
    )  # fmt: skip

    otlp_endpoint: Url | None = _setting(
        None, SPANS,
        "Where spans go over OTLP; none: there are no spans. With http/protobuf, /v1/traces is added.",
        right="http:// or https:// with host and port, such as http://localhost:4317 (without a scheme it "
        "would not be clear whether TLS is meant)",
        fallbacks=("OTEL_EXPORTER_OTLP_ENDPOINT",),
    )  # fmt: skip
    otlp_traces_endpoint: Url | None = _setting(
        None, SPANS,
        "The full address for spans where it is not `otlp_endpoint` with /v1/traces; used as it is.",
        right="a URL such as https://otlp.example.org/custom/traces",
        fallbacks=("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",),
    )  # fmt: skip
    otlp_protocol: Literal["grpc", "http/protobuf"] = _setting(
        "grpc", SPANS,
        "How the endpoint is spoken to.",
        right="grpc or http/protobuf",
        fallbacks=("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
    )  # fmt: skip
    otlp_headers: Headers | None = _setting(
        None, SPANS,
        "Headers to send with spans, such as an API key; values percent-encoded.",
        right="name=value,name=value",
        fallbacks=("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"),
    )  # fmt: skip
    otlp_service_name: Text = _setting(
        "trainbridge", SPANS,
        "The service.name of all spans.",
        right="a name, such as trainbridge",
        fallbacks=("OTEL_SERVICE_NAME",),
    )  # fmt: skip

    heartbeat_seconds: float = _setting(
        20.0, SESSIONS,
        "How often clients are asked to send a heartbeat; after three without a word a session shows as disconnected.",
        right="a number of seconds from 0.1 to 3600, such as 20", ge=0.1, le=3600,
    )  # fmt: skip
    session_lost_seconds: float = _setting(
        3600.0, SESSIONS,
        "After so long without a word a session counts as lost.",
        right="a number of seconds, at least three times `heartbeat_seconds`, such as 3600", gt=0,
    )  # fmt: skip
    session_linger_seconds: float = _setting(
        300.0, SESSIONS,
        "How long the series and pages of a session stay after its end.",
        right="a number of seconds, at least 0, such as 300", ge=0,
    )  # fmt: skip

    max_sessions: int = _setting(
        2000, LIMITS,
        "Sessions held at once, ended ones that linger included; it caps the number of series.",
        right="a whole number of at least 1, such as 2000", ge=1,
    )  # fmt: skip
    max_new_sessions_per_minute: int = _setting(
        600, LIMITS,
        "Sessions that may be registered anew in a minute.",
        right="a whole number of at least 1, such as 600", ge=1,
    )  # fmt: skip
    max_streams: int = _setting(
        2000, LIMITS,
        "Streams open at once.",
        right="a whole number of at least 1, such as 2000", ge=1,
    )  # fmt: skip
    max_message_bytes: ByteSize = _setting(
        ByteSize(32 << 20), LIMITS,
        "The largest message taken from a client.",
        right="a size from 64KiB to 1GiB, such as 32MiB", ge=64 << 10, le=1 << 30,
    )  # fmt: skip
    grpc_lookahead_bytes: ByteSize = _setting(
        ByteSize(256 << 10), LIMITS,
        "How much of a stream is buffered ahead; raise it for long fat links, at the price of memory per stream.",
        right="a size from 64KiB to 64MiB, such as 256KiB", ge=64 << 10, le=64 << 20,
    )  # fmt: skip

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(_lowered)
    ] = _setting(
        "info", LOGGING,
        "The least important events to log.",
        right="debug, info, warning or error",
    )  # fmt: skip
    log_format: Literal["json", "text"] | None = _setting(
        None, LOGGING,
        "How events are written to standard error.",
        right="json or text",
        default_text="json, but on a terminal text",
    )  # fmt: skip

    @property
    def state_folder(self) -> Path | None:
        """The folder to keep everything in; None: a temporary one."""
        return None if self.state == "memory" else Path(self.state).expanduser().absolute()

    @property
    def spans_endpoint(self) -> str:
        """The whole address that spans go to; "": nowhere."""
        base = self.otlp_endpoint or ""
        if self.otlp_traces_endpoint or not base:
            return self.otlp_traces_endpoint or ""
        is_whole = self.otlp_protocol == "grpc" or base.endswith("/v1/traces")
        return base if is_whole else f"{base}/v1/traces"

    @property
    def headers(self) -> dict[str, str]:
        """The headers to send with spans, by lower-case name."""
        return split_headers(self.otlp_headers.get_secret_value()) if self.otlp_headers else {}

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        """Refuse settings that make no sense together; each text begins with the setting to change."""
        if self.session_lost_seconds < MISSED_HEARTBEATS * self.heartbeat_seconds:
            raise ValueError("session_lost_seconds: shorter than three heartbeats")
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            missing = "tls_cert_file" if self.tls_cert_file is None else "tls_key_file"
            raise ValueError(f"{missing}: certificate and key come together, and one is missing")
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            raise ValueError(
                "tls_client_ca_file: without tls_cert_file and tls_key_file there is no TLS"
            )
        uses_s3 = (self.images_store or "").startswith("s3:")
        if uses_s3 and (self.s3_access_key is None) != (self.s3_secret_key is None):
            missing = "s3_access_key" if self.s3_access_key is None else "s3_secret_key"
            raise ValueError(f"{missing}: one of the two keys without the other")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is given and nothing else: `load` goes through the sources, to know which gave what."""
        return (init_settings,)


def about(name: str) -> About:
    """Return what is known of a setting."""
    extra = Settings.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)  # noqa: S101 -- _setting puts it there
    found: Any = extra["about"]
    assert isinstance(found, About)  # noqa: S101
    return found


def flag_of(name: str) -> str:
    """Return the command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return "TRAINBRIDGE_" + name.upper()


def is_secret(name: str) -> bool:
    """Tell whether the value of a setting must never be shown."""
    return SecretStr.__name__ in str(Settings.model_fields[name].annotation)


def is_switch(name: str) -> bool:
    """Tell whether a setting is on or off."""
    return Settings.model_fields[name].annotation in (bool, bool | None)


def shown(name: str, value: object) -> str:
    """Return a value as an operator may see it."""
    if value is None:
        return about(name).default_text or "none"
    if is_secret(name):
        return "********"
    if isinstance(value, ByteSize):
        return value.human_readable(separator="").replace(".0", "")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def default_of(name: str) -> str:
    """Return the default of a setting, in words."""
    return shown(name, Settings.model_fields[name].default)
