"""Reads the files that an operator names: settings as YAML, and secrets."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bridge.config.settings import Settings, reads_file, variable_of
from bridge.errors import SettingError

READ = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")

TAGS = (*READ, "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map", None)
"""What a value may be called; None stands for any other, which is refused."""

DEEPEST = 20
"""Lists and mappings in each other."""

LINE = "log_level: info"

LINES = {"tokens_file": "tokens:", "access_rules_file": "claims:"}
"""What a line looks like, by the setting that names the file, where it is not of settings."""

MOST_MERGED = 1_000
"""Keys of one mapping with those that `<<` takes from others, which may take theirs from others in turn."""

SPECIAL = "[{*&!%@`|>"
"""Text that begins with one of these means something to YAML."""


class _Loader(yaml.SafeLoader):
    """Takes every word as it is written, as a flag or a variable does: 0123 stays 0123, and `no` is a word."""

    yaml_implicit_resolvers = {  # noqa: RUF012 -- the library's own
        first: [each for each in resolvers if each[0] in READ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012 -- the library's own
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag in TAGS
    }

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse what lies too deep, before as much time is spent on it as the library takes for it."""
        self.depth += 1
        if self.depth > DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            problem = f"lists or mappings lie in each other, more than {DEEPEST} deep"
            raise yaml.composer.ComposerError(None, None, problem, mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 -- the library's signature
        """Refuse a key that stands there twice: one of the two would count, and nobody would know which."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a list or a mapping stands in the place of a key", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} stands there a second time", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse mappings that are merged of so many that a small file would take all memory."""
        super().flatten_mapping(node)
        if len(node.value) > MOST_MERGED:
            problem = f"more than {MOST_MERGED} keys are merged into one mapping"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def read_settings(path: Path, allowed: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a YAML file; raises SettingError for a key that is not `allowed`, as `read_yaml` else."""
    content = read_yaml(path)
    wrong = [_unknown_key(str(key), path, allowed) for key in content if key not in allowed]
    if wrong:
        raise SettingError("\n".join(wrong))
    return content


def read_yaml(path: Path, setting: str = "config") -> dict[Any, Any]:
    """Return what a YAML file holds; raises SettingError where it cannot be read, or holds no mapping."""
    text = read_file(setting, path)
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 -- a SafeLoader
    except yaml.YAMLError as error:
        raise SettingError(
            f"{setting} is {path}, which is not valid YAML: {_where(error)}: {_way_out(error, text, setting)}"
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingError(
            f"{setting} is {path}, which holds something other than keys and values: give lines like `{LINES.get(setting, LINE)}`"
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


def _way_out(error: yaml.YAMLError, text: str, setting: str) -> str:
    mark = getattr(error, "problem_mark", None)
    line = [*text.splitlines(), ""][mark.line] if mark else ""
    value = line.partition(":")[2].strip()
    if value and value[0] in SPECIAL:
        return f"put the value into quotes, since it begins with {value[0]}"
    return f"correct it; it holds lines like `{LINES.get(setting, LINE)}`"


def _unknown_key(key: str, path: Path, allowed: Sequence[str]) -> str:
    secret = key.removesuffix("_file")
    if secret != key and secret in Settings.model_fields and reads_file(secret):
        return f"unknown setting {key!r} in {path}; a file with the secret is named by the variable {variable_of(secret)}_FILE"
    near = difflib.get_close_matches(key.replace("-", "_").lower(), allowed, n=1)
    hint = (
        f"; did you mean {near[0]}?" if near else "; `trainbridge serve --help` lists the settings"
    )
    return f"unknown setting {key!r} in {path}{hint}"
