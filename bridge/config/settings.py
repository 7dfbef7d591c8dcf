"""Every setting of the bridge, with its flag, its variable and how its value is shown."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ByteSize, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.addresses import share_port, split_headers
from bridge.config.access import Access, check_access
from bridge.config.alerts import Alerts, check_learning_rates
from bridge.config.attributes import split_attributes
from bridge.config.commands import Commands, check_command_bounds
from bridge.config.fields import SettingInfo
from bridge.config.outputs import Decoding, Images, Keeping, ObjectStore, Spans
from bridge.config.server import Limits, Listening, Logging, Pages, Sessions
from bridge.config.shared_state import (
    OWN_SHARD_SECONDS,
    SHARED_SHARD_SECONDS,
    SharedState,
    check_shared_state,
)
from bridge.config.state_url import MASK, is_state_url, masked
from bridge.config.tls import HttpTls, Tls, check_tls
from bridge.model import MISSED_HEARTBEATS

GROUPS: dict[str, type[BaseModel]] = {
    "Listening": Listening,
    "Who may come in": Access,
    "Pages and Grafana": Pages,
    "Commands": Commands,
    "Alerts that send commands": Alerts,
    "TLS on the gRPC server": Tls,
    "TLS on the HTTP server": HttpTls,
    "Keeping": Keeping,
    "Several bridges on one PostgreSQL": SharedState,
    "Images": Images,
    "Contact sheets": Decoding,
    "S3-compatible object store": ObjectStore,
    "Spans (OpenTelemetry)": Spans,
    "Sessions": Sessions,
    "Limits": Limits,
    "Logging": Logging,
}
"""Related settings, by the title of their table and of their part of `--help`."""


# Pydantic takes the fields of the last base first: these are the groups in reverse.
class Settings(
    Logging,
    Limits,
    Sessions,
    Spans,
    ObjectStore,
    Decoding,
    Images,
    SharedState,
    Keeping,
    HttpTls,
    Tls,
    Alerts,
    Commands,
    Pages,
    Access,
    Listening,
    BaseSettings,
):
    """How one bridge runs. The same names are flags, TRAINBRIDGE_* variables and YAML keys."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="TRAINBRIDGE_",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    @property
    def state_folder(self) -> Path | None:
        """The folder that holds everything, or the spool where a PostgreSQL has the rest; None: a temporary one."""
        if self.state == "memory":
            return None
        folder = self.state if self.state_url is None else self.spool_folder
        return Path(folder).expanduser().absolute()

    @property
    def state_url(self) -> str | None:
        """The URL of the PostgreSQL that has the state, perhaps with a password; None: it lies in a folder."""
        return self.state if is_state_url(self.state) else None

    @property
    def longest_shard_seconds(self) -> float:
        """How long images are collected before they go to the store, in effect."""
        if self.shard_seconds is not None:
            return self.shard_seconds
        return OWN_SHARD_SECONDS if self.state_url is None else SHARED_SHARD_SECONDS

    @property
    def spans_endpoint(self) -> str:
        """The full URL that spans are sent to; "": none are sent."""
        base = self.otlp_endpoint or ""
        if self.otlp_traces_endpoint or not base:
            return self.otlp_traces_endpoint or ""
        is_whole = self.otlp_protocol == "grpc" or base.endswith("/v1/traces")
        return base if is_whole else f"{base}/v1/traces"

    @property
    def headers(self) -> dict[str, str]:
        """The headers sent with spans, by lower-case name."""
        return split_headers(self.otlp_headers.get_secret_value()) if self.otlp_headers else {}

    @property
    def resource_attributes(self) -> dict[str, str]:
        """The attributes that the operator adds to the resource of spans."""
        return split_attributes(self.otlp_resource_attributes or "")

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        """Refuse settings that contradict each other; each text begins with the setting to change."""
        if self.session_lost_seconds < MISSED_HEARTBEATS * self.heartbeat_seconds:
            raise ValueError("session_lost_seconds: which is shorter than three heartbeats")
        if self.session_unused_seconds < MISSED_HEARTBEATS * self.heartbeat_seconds:
            raise ValueError("session_unused_seconds: which is shorter than three heartbeats")
        if share_port(self.grpc_address, self.http_address):
            is_default = self.http_address == default_of("http_address")
            names = (
                ("grpc_address", "http_address") if is_default else ("http_address", "grpc_address")
            )
            raise ValueError(f"{names[0]}: whose port {names[1]} takes already")
        check_tls(self, "tls")
        check_tls(self, "http_tls")
        cert, key = self.otlp_client_cert_file, self.otlp_client_key_file
        if self.spans_endpoint and (cert is None) != (key is None):
            given = "otlp_client_cert_file" if key is None else "otlp_client_key_file"
            raise ValueError(
                f"{given}: which is not enough, since certificate and key must be set together"
            )
        check_access(self)
        check_shared_state(self)
        check_learning_rates(self)
        check_command_bounds(self)
        uses_s3 = (self.images_store or "").startswith("s3:")
        if uses_s3 and (self.s3_access_key is None) != (self.s3_secret_key is None):
            missing = "s3_access_key" if self.s3_access_key is None else "s3_secret_key"
            raise ValueError(
                f"{missing}: which is missing, though both keys must be set together, and none is taken from"
                " another pair"
            )
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
        """Take the values given and nothing else: `load` reads the sources, to know which value came from where."""
        return (init_settings,)


def info_of(name: str) -> SettingInfo:
    """Return what is known of a setting beside its type, default and meaning."""
    extra = Settings.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)  # noqa: S101 -- `setting` puts it there
    info: Any = extra["info"]
    assert isinstance(info, SettingInfo)  # noqa: S101
    return info


def flag_of(name: str) -> str:
    """Return the command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return "TRAINBRIDGE_" + name.upper()


def is_secret(name: str) -> bool:
    """Return whether the value of a setting must never be shown."""
    return SecretStr.__name__ in str(Settings.model_fields[name].annotation)


def reads_file(name: str) -> bool:
    """Return whether a variable may name a file that holds the value, since it may hold a secret."""
    return is_secret(name) or name == "state"


def is_switch(name: str) -> bool:
    """Return whether a setting is either on or off."""
    return Settings.model_fields[name].annotation in (bool, bool | None)


def shown(name: str, value: object) -> str:
    """Return a value as an operator may see it."""
    if value is None:
        return info_of(name).default_text or "none"
    if is_secret(name):
        return MASK
    if isinstance(value, ByteSize):
        return value.human_readable(separator="").replace(".0", "")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return masked(str(value)) if name == "state" else str(value)


def default_of(name: str) -> str:
    """Return the default of a setting, in words."""
    return shown(name, Settings.model_fields[name].default)
