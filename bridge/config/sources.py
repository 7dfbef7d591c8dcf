"""Where settings come from: flags, variables, secret files, a YAML file, defaults; the first one that has it wins."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from bridge.addresses import is_loopback
from bridge.config.settings import (
    Settings,
    default_of,
    flag_of,
    info_of,
    is_secret,
    shown,
    variable_of,
)
from bridge.errors import SettingError

NAMES = tuple(Settings.model_fields)

NOT_OURS = re.compile(r"TRAINBRIDGE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)")
"""Kubernetes gives every container variables like these for a Service called trainbridge."""

OTHERS = frozenset({"TRAINBRIDGE_ADDRESS", "TRAINBRIDGE_SPOOL_BYTES", "TRAINBRIDGE_SPOOL_DIR", "TRAINBRIDGE_TOKEN",
                    "TRAINBRIDGE_URL"})  # fmt: skip
"""Read by the SDK or by commands that ask a running bridge: no mistake where a bridge finds them."""

TEMPORARY_KEYS = "AWS_SESSION_TOKEN"
"""Keys that come with this are of no use without it; the object store takes all three by itself."""


class Kind(StrEnum):
    """What a value came from."""

    FLAG = "flag"
    VARIABLE = "variable"
    FILE = "file"
    YAML = "config"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one value came from."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in effect, and how they came about."""

    settings: Settings
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Given:
    """A value somebody gave, as it was written."""

    value: Any
    origin: Origin


def load(flags: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Loaded:
    """Return what is in effect; `flags` are those given, by setting.

    Raises SettingError, with a line for each thing that is wrong.
    """
    environment = os.environ if environment is None else environment
    given: dict[str, _Given] = {}
    for layer in (
        _flags(flags),
        _variables(environment),
        _files(environment),
        _fallbacks(environment),
    ):
        for name, found in layer:
            given.setdefault(name, found)
    if "config" in given:
        for name, found in _yaml(Path(str(given["config"].value)).expanduser()):
            given.setdefault(name, found)
    settings = _checked(given)
    origins = {
        name: given[name].origin if name in given else Origin(Kind.DEFAULT) for name in NAMES
    }
    return Loaded(settings, origins, (*_unknown(environment), *_cautions(settings)))


def _flags(flags: Mapping[str, Any]) -> Iterator[tuple[str, _Given]]:
    for name, value in flags.items():
        yield name, _Given(value, Origin(Kind.FLAG, flag_of(name)))


def _variables(environment: Mapping[str, str]) -> Iterator[tuple[str, _Given]]:
    source = EnvSettingsSource(Settings)
    source.env_vars = {key.lower(): value for key, value in environment.items() if value}
    for name, value in source().items():
        yield name, _Given(value, Origin(Kind.VARIABLE, variable_of(name)))


def _files(environment: Mapping[str, str]) -> Iterator[tuple[str, _Given]]:
    for name in filter(is_secret, NAMES):
        variable = f"{variable_of(name)}_FILE"
        path = environment.get(variable)
        if path:
            yield name, _Given(_read(variable, Path(path)).strip(), Origin(Kind.FILE, path))


def _fallbacks(environment: Mapping[str, str]) -> Iterator[tuple[str, _Given]]:
    for name in NAMES:
        if is_secret(name) and name.startswith("s3_") and environment.get(TEMPORARY_KEYS):
            continue
        for variable in info_of(name).fallbacks:
            if environment.get(variable):
                yield name, _Given(environment[variable], Origin(Kind.VARIABLE, variable))


def _yaml(path: Path) -> Iterator[tuple[str, _Given]]:
    try:
        content = yaml.safe_load(_read("config", path))
    except yaml.YAMLError as error:
        raise SettingError(f"config is {path}, which is not YAML: {_where(error)}") from None
    if content is None:
        return
    if not isinstance(content, dict):
        raise SettingError(
            f"config is {path}, which holds no settings: give lines like `log_level: info`"
        )
    allowed = [name for name in NAMES if name != "config"]
    wrong = [_unknown_key(str(key), path, allowed) for key in content if key not in allowed]
    if wrong:
        raise SettingError("\n".join(wrong))
    for name, value in content.items():
        if value is not None:
            yield name, _Given(value, Origin(Kind.YAML, str(path)))


def _read(setting: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingError(f"{setting} is {path}, which cannot be read: {reason}") from None


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be read"
    return f"line {mark.line + 1}: {problem}" if mark else problem


def _unknown_key(key: str, path: Path, allowed: list[str]) -> str:
    near = difflib.get_close_matches(key.replace("-", "_").lower(), allowed, n=1)
    hint = (
        f"; did you mean {near[0]}?" if near else "; `trainbridge serve --help` lists the settings"
    )
    return f"{key} in {path} is no setting{hint}"


def _checked(given: Mapping[str, _Given]) -> Settings:
    try:
        return Settings(**{name: found.value for name, found in given.items()})
    except ValidationError as error:
        problems = [_problem(dict(problem), given) for problem in error.errors(include_url=False)]
        raise SettingError("\n".join(dict.fromkeys(problems))) from None


def _problem(problem: Mapping[str, Any], given: Mapping[str, _Given]) -> str:
    reason = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else ""
    if problem["loc"]:
        name = str(problem["loc"][0])
    else:
        name, _, reason = reason.partition(": ")
    found = given.get(name)
    value = (
        f"{_written(name, found.value)!r} (from {found.origin})"
        if found
        else f"{default_of(name)} (the default)"
    )
    return f"{name} is {value}{', ' if reason else ''}{reason}: give {info_of(name).expected}"


def _written(name: str, value: object) -> str:
    """Return a value as it was given, unless that would tell a secret."""
    if is_secret(name) or (isinstance(value, str) and "://" in value and "@" in value):
        return "********"
    return str(value)


def _unknown(environment: Mapping[str, str]) -> Iterator[str]:
    known = {variable_of(name) for name in NAMES} | {
        f"{variable_of(name)}_FILE" for name in NAMES if is_secret(name)
    }
    for variable in sorted(environment):
        is_known = variable.upper() in known or variable in OTHERS or NOT_OURS.fullmatch(variable)
        if variable.startswith("TRAINBRIDGE_") and not is_known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"the variable {variable} is no setting and is ignored{hint}"


def _cautions(settings: Settings) -> Iterator[str]:
    for name in ("grpc_address", "http_address"):
        address = getattr(settings, name)
        if not is_loopback(address):
            yield f"{name} is {address}: whoever reaches this address may use the bridge, as it asks nobody for a token"


def rows(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and origin of every setting, secrets masked."""
    for name in NAMES:
        yield name, shown(name, getattr(loaded.settings, name)), str(loaded.origins[name])
