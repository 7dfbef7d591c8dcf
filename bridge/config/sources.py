"""Loads settings from all their sources; the first that has a value wins.

These are flags, variables of trainbridge, secret files, a YAML file, variables of other tools, and defaults: what
somebody wrote for this bridge comes before what stands in the environment for every program.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from bridge.addresses import is_loopback, otlp_port_hint
from bridge.config import opentelemetry
from bridge.config.precedence import Given, Kind, Origin, in_effect
from bridge.config.settings import (
    Settings,
    default_of,
    flag_of,
    info_of,
    is_secret,
    reads_file,
    shown,
    variable_of,
)
from bridge.config.shared_state import shared_state_cautions
from bridge.config.state_url import MASK
from bridge.config.yaml_file import read_file, read_settings, read_yaml
from bridge.errors import SettingError

NAMES = tuple(Settings.model_fields)

NOT_OURS = re.compile(r"TRAINBRIDGE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)")
"""Kubernetes gives every container variables like these for a Service called trainbridge."""

OTHERS = frozenset(
    f"TRAINBRIDGE_{name}"
    for name in (
        *("ADDRESS", "CA_FILE", "CERT_FILE", "JOB_NAME", "KEY_FILE", "PANEL", "SESSION_PREFIX"),
        *("SPOOL_BYTES", "SPOOL_DIR", "TOKEN", "TOKEN_FILE", "URL"),
    )
)
"""Variables of the SDK and of commands that query a running bridge: expected where a bridge finds them."""

IN_A_POD = "KUBERNETES_SERVICE_HOST"
"""A variable that Kubernetes gives every container."""

TEMPORARY_KEYS = "AWS_SESSION_TOKEN"
"""Keys that come with it are useless without it; the object store reads all three itself."""


SUSPICIOUS_TIMEOUT_SECONDS = 0.1
"""A shorter one was probably meant in another unit."""


LogFormat = Literal["json", "text"]
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in effect, and how they came about."""

    settings: Settings
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...]


def load(flags: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Loaded:
    """Return the settings in effect; `flags` are those given on the command line, by setting.

    Raises SettingError, with a line for each invalid value.
    """
    environment = os.environ if environment is None else environment
    candidates: dict[str, list[Given]] = {name: [] for name in NAMES}
    for source in (_flags(flags), _variables(environment), _files(environment)):
        _collect(source, candidates)
    _prefer_state_file(candidates["state"])
    if candidates["config"]:
        _collect(_yaml(Path(str(candidates["config"][0].value)).expanduser()), candidates)
    _collect(_fallbacks(environment), candidates)
    warnings = [*opentelemetry.warnings(environment), *_switch_off_spans(candidates, environment)]
    settings, given = _checked(candidates, warnings)
    origins = {
        name: given[name].origin if name in given else Origin(Kind.DEFAULT) for name in NAMES
    }
    return Loaded(
        settings,
        origins,
        (
            *_unknown(environment),
            *warnings,
            *_cautions(settings, environment),
            *shared_state_cautions(settings, is_flag=origins["state"].kind is Kind.FLAG),
        ),
    )


def _collect(source: Iterable[tuple[str, Given]], candidates: dict[str, list[Given]]) -> None:
    for name, value in source:
        candidates[name].append(value)


def _prefer_state_file(candidates: list[Given]) -> None:
    """Have a file that somebody names come before TRAINBRIDGE_STATE, which is set in every container of our image."""
    candidates.sort(
        key=lambda given: [Kind.FLAG, Kind.FILE, Kind.VARIABLE].index(given.origin.kind)
    )


def _switch_off_spans(
    candidates: dict[str, list[Given]], environment: Mapping[str, str]
) -> Iterator[str]:
    """Drop the endpoints where a variable of OpenTelemetry asks for no spans; yield a warning if there were any."""
    switch = opentelemetry.switched_off(environment)
    if not switch:
        return
    for name in ("otlp_endpoint", "otlp_traces_endpoint"):
        dropped, candidates[name] = candidates[name], []
        if not dropped:
            continue
        origin = dropped[0].origin
        candidates[name].append(Given(None, Origin(Kind.VARIABLE, switch.partition("=")[0])))
        if not origin.name.startswith(opentelemetry.PREFIX):
            yield f"{switch}: no spans are sent, though {name} is set (from {origin}); unset the variable to send them"


def _flags(flags: Mapping[str, Any]) -> Iterator[tuple[str, Given]]:
    for name, value in flags.items():
        yield name, Given(value, Origin(Kind.FLAG, flag_of(name)))


def _variables(environment: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    source = EnvSettingsSource(Settings)
    source.env_vars = {key.lower(): value for key, value in environment.items() if value}
    for name, value in source().items():
        yield name, Given(value, Origin(Kind.VARIABLE, variable_of(name)))


def _files(environment: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    for name in filter(reads_file, NAMES):
        variable = f"{variable_of(name)}_FILE"
        path = environment.get(variable)
        if path:
            yield name, Given(read_file(variable, Path(path)).strip(), Origin(Kind.FILE, path))


def _fallbacks(environment: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    for name in NAMES:
        if is_secret(name) and name.startswith("s3_") and environment.get(TEMPORARY_KEYS):
            continue
        for variable in info_of(name).fallbacks:
            if environment.get(variable):
                written = environment[variable]
                value = opentelemetry.setting_value(variable, written, environment)
                yield name, Given(value, Origin(Kind.VARIABLE, variable), written)


def _yaml(path: Path) -> Iterator[tuple[str, Given]]:
    allowed = [name for name in NAMES if name != "config"]
    for name, value in read_settings(path, allowed).items():
        if value is not None:
            yield name, Given(value, Origin(Kind.YAML, str(path)))


def chosen_log_format(
    flags: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> LogFormat | None:
    """Return the format of the log where the settings as a whole cannot be used; None: it was not chosen."""
    environment = os.environ if environment is None else environment
    chosen = flags.get("log_format") or environment.get(variable_of("log_format"))
    file = flags.get("config") or environment.get(variable_of("config"))
    if not chosen and file:
        with suppress(SettingError):
            chosen = read_yaml(Path(str(file)).expanduser()).get("log_format")
    return next((each for each in LOG_FORMATS if each == chosen), None)


def _checked(
    candidates: dict[str, list[Given]], warnings: list[str]
) -> tuple[Settings, dict[str, Given]]:
    """Return the settings, and the candidate of each that counts; what may be ignored is, with a warning.

    Raises SettingError for what may not.
    """
    while True:
        given = in_effect(candidates)
        try:
            return Settings(**{name: source.value for name, source in given.items()}), given
        except ValidationError as error:
            problems = {
                _name_of(problem): _problem(problem, given)
                for problem in map(dict, error.errors(include_url=False))
            }
            ignored = [name for name in problems if _may_ignore(given.get(name), given)]
            if not ignored:
                raise SettingError("\n".join(dict.fromkeys(problems.values()))) from None
            for name in ignored:
                warnings.append(f"{problems[name]}; it is ignored")
                candidates[name].remove(given[name])


def _may_ignore(source: Given | None, given: Mapping[str, Given]) -> bool:
    """Return whether the bridge starts without a value that it cannot use.

    "Environment Variable Specification" of OpenTelemetry asks for it. Those of AWS are meant for other
    programs where no bucket is used.
    """
    if source is None or source.origin.kind is not Kind.VARIABLE:
        return False
    store = given.get("images_store")
    uses_s3 = store is not None and str(store.value).startswith("s3:")
    return source.origin.name.startswith(
        opentelemetry.PREFIX if uses_s3 else (opentelemetry.PREFIX, "AWS_")
    )


def _name_of(problem: Mapping[str, Any]) -> str:
    if problem["loc"]:
        return str(problem["loc"][0])
    return str(problem["ctx"]["error"]).partition(": ")[0]


def _problem(problem: Mapping[str, Any], given: Mapping[str, Given]) -> str:
    name = _name_of(problem)
    reason = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else ""
    if not problem["loc"]:
        reason = reason.partition(": ")[2]
    source = given.get(name)
    value = (
        f"{_written(name, source.written or source.value)!r} (from {source.origin})"
        if source
        else f"{default_of(name)} (the default)"
    )
    variable = source.origin.name if source else ""
    expected = opentelemetry.EXPECTED.get(variable) or info_of(name).expected
    return f"{name} is {value}{', ' if reason else ''}{reason}: give {expected}"


def _written(name: str, value: object) -> str:
    """Return a value as it was given, unless that would reveal a secret."""
    text = str(value)
    may_hold_password = "://" in text and ("@" in text or name == "state")
    if is_secret(name) or may_hold_password or (name == "state" and "=" in text):
        return MASK
    return text


def _unknown(environment: Mapping[str, str]) -> Iterator[str]:
    known = {variable_of(name) for name in NAMES} | {
        f"{variable_of(name)}_FILE" for name in NAMES if reads_file(name)
    }
    for variable in sorted(environment):
        is_known = variable.upper() in known or variable in OTHERS or NOT_OURS.fullmatch(variable)
        if variable.startswith("TRAINBRIDGE_") and not is_known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"unknown setting {variable!r} in the environment: ignored{hint}"


def _cautions(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    # In a pod the bridge must listen on all addresses, and policies decide who gets in.
    if IN_A_POD not in environment:
        yield from _open_addresses(settings)
    if not settings.spans_endpoint:
        return
    if settings.otlp_timeout_seconds < SUSPICIOUS_TIMEOUT_SECONDS:
        yield f"otlp_timeout_seconds is {settings.otlp_timeout_seconds:g}, too short for most endpoints: OTEL_EXPORTER_OTLP_TIMEOUT is in milliseconds"
    hint = otlp_port_hint(settings.spans_endpoint, settings.otlp_protocol)
    if hint:
        yield f"spans go to {settings.spans_endpoint} by {settings.otlp_protocol}: {hint}"


def _open_addresses(settings: Settings) -> Iterator[str]:
    """Warn of addresses that others reach, where anybody may come in, or tokens can be read on their way."""
    for name, certificate in (
        ("grpc_address", "tls_cert_file"),
        ("http_address", "http_tls_cert_file"),
    ):
        address = getattr(settings, name)
        if is_loopback(address):
            continue
        if settings.allow_anonymous:
            yield f"{name} is {address} and allow_anonymous is set: anyone who reaches this address can use the bridge"
        elif getattr(settings, certificate) is None:
            yield (
                f"{name} is {address} without TLS: tokens can be read on their way unless a proxy or a mesh encrypts them; set"
                f" {certificate} and {certificate.replace('cert', 'key')}"
            )


def rows(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and origin of every setting, secrets masked."""
    for name in NAMES:
        yield name, shown(name, getattr(loaded.settings, name)), str(loaded.origins[name])
