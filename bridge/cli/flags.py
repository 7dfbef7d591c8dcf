"""The settings as command-line flags."""

import argparse
from pathlib import Path
from typing import Any, get_args

from pydantic import ByteSize

from bridge.config.settings import (
    GROUPS,
    Settings,
    default_of,
    flag_of,
    is_switch,
    variable_of,
)

ENDINGS = {
    "_address": "HOST:PORT",
    "_url": "URL",
    "_endpoint": "URL",
    "_store": "URL",
    "_file": "FILE",
    "_ancestors": "SOURCES",
    "_folder": "FOLDER",
    "state": "FOLDER",
}

METAVARS = {int: "NUMBER", float: "NUMBER", ByteSize: "SIZE", Path: "FILE"}

EPILOG = """\
Every flag is also a variable, named in brackets, and a key of the YAML file given with --config,
spelled like the variable but without TRAINBRIDGE_ and in lower case. A flag wins over a variable,
a variable over the file. Secrets can be read from files: set the variable with _FILE at its end.
`trainbridge check-config` shows what is in effect, and docs/configuration.md says more.
"""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting, by group, with its default and its variable."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = f"{parser.prog} [--SETTING VALUE] ..."
    for title, group in GROUPS.items():
        section = parser.add_argument_group(title)
        for name, field in group.model_fields.items():
            section.add_argument(
                flag_of(name), **_options(name, field.annotation, field.description or "")
            )


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings given on the command line, as they were written."""
    return {name: value for name, value in vars(arguments).items() if name in Settings.model_fields}


def _options(name: str, annotation: Any, meaning: str) -> dict[str, Any]:
    text = f"{meaning} Default: {default_of(name)}. [{variable_of(name)}]".replace("%", "%%")
    options: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text}
    if is_switch(name):
        return {**options, "action": argparse.BooleanOptionalAction}
    return {**options, "metavar": _metavar(name, annotation)}


def _metavar(name: str, annotation: Any) -> str:
    parts = _parts(annotation)
    by_type = next((METAVARS[part] for part in parts if part in METAVARS), None)
    by_ending = next((word for ending, word in ENDINGS.items() if name.endswith(ending)), "TEXT")
    choices = [part for part in parts if isinstance(part, str)]
    return by_type or "|".join(choices) or by_ending


def _parts(annotation: Any) -> tuple[Any, ...]:
    """Return a type and all types it is composed of."""
    return (annotation, *(inner for part in get_args(annotation) for inner in _parts(part)))
