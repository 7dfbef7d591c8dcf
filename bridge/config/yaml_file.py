"""Reads the files that an operator names: settings as YAML, and secrets."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bridge.errors import SettingError


def read_settings(path: Path, allowed: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a YAML file; raises SettingError for a key that is not `allowed`, as `read_yaml` else."""
    content = read_yaml(path)
    wrong = [_unknown_key(str(key), path, allowed) for key in content if key not in allowed]
    if wrong:
        raise SettingError("\n".join(wrong))
    return content


def read_yaml(path: Path) -> dict[Any, Any]:
    """Return what a YAML file holds; raises SettingError where it cannot be read, or holds no mapping."""
    try:
        content = yaml.safe_load(read_file("config", path))
    except yaml.YAMLError as error:
        raise SettingError(
            f"config is {path}, which is not valid YAML: {_where(error)}: correct it; it holds lines like `log_level: info`"
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingError(
            f"config is {path}, which holds something other than settings: give lines like `log_level: info`"
        )
    return content


def read_file(setting: str, path: Path) -> str:
    """Return the text of a file that a setting or variable names; raises SettingError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except PermissionError:
        way_out = f"give user {os.geteuid()} the permission to read it, or name another file"
        raise SettingError(
            f"{setting} is {path}, which cannot be read: Permission denied: {way_out}"
        ) from None
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise SettingError(
            f"{setting} is {path}, which cannot be read: {reason}: give the name of a text file"
        ) from None


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "cannot be parsed"
    return f"line {mark.line + 1}: {problem}" if mark else problem


def _unknown_key(key: str, path: Path, allowed: Sequence[str]) -> str:
    near = difflib.get_close_matches(key.replace("-", "_").lower(), allowed, n=1)
    hint = (
        f"; did you mean {near[0]}?" if near else "; `trainbridge serve --help` lists the settings"
    )
    return f"unknown setting {key!r} in {path}{hint}"
