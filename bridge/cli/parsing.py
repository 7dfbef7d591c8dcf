"""The parser of every command, and the types that its arguments have."""

import argparse
import difflib
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from bridge.addresses import check_url, split_address
from bridge.cli.exit_status import MISUSED

LOOPBACK = "127.0.0.1"

Value = TypeVar("Value")


class Parser(argparse.ArgumentParser):
    """An argument parser that says in one sentence what is wrong, and where to read on."""

    def print_help(self, file: Any = None) -> None:
        """Write the help; unlike argparse's own, a disk that is full is an error."""
        output = file or sys.stdout
        if output is not None:
            output.write(self.format_help())

    def error(self, message: str) -> NoReturn:
        """Exit with the sentence, and without the usage, which may be longer than a screen."""
        self.exit(MISUSED, f"{self.prog}: {message}\n  see `{self.prog} --help`\n")

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the arguments; where one is unknown, exits with the option that was probably meant."""
        arguments, unknown = self.parse_known_args(words)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._meant(unknown[0])}")
        return arguments

    def _meant(self, word: str) -> str:
        flag = word.partition("=")[0]
        close = difflib.get_close_matches(flag, self._option_string_actions, n=1)
        return f"; did you mean {close[0]}?" if close else ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        words = [str(choice) for choice in action.choices]
        if (
            not action.required
        ):  # a word of its own, such as delete, which may come after the options
            raise argparse.ArgumentError(
                None,
                f"{value!r} means nothing here: leave it out, or give {_alternatives(words)};"
                " an option before it may be misspelled",
            )
        close = difflib.get_close_matches(value, words, n=1)
        expected = f"did you mean {close[0]}?" if close else f"give one of {', '.join(words)}"
        raise argparse.ArgumentError(action, f"invalid value {value!r}: {expected}")


def _alternatives(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def checked(read: Callable[[str], Value], text: str, example: str) -> Value:
    """Return what `read` makes of a text; its ValueError becomes a message that says what to give instead."""
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give {example}") from error


def http_url(text: str) -> str:
    """Return an http(s) URL without trailing slash."""
    try:
        return checked(check_url, text, "a URL such as http://127.0.0.1:8080")
    except argparse.ArgumentTypeError as error:
        if "://" in text or checked_or_none(check_url, f"http://{text}") is None:
            raise
        raise argparse.ArgumentTypeError(f"{error}; did you mean http://{text}?") from error


def link_url(text: str) -> str:
    """Return an http(s) URL without trailing slash, which links in a template of Prometheus may begin with."""
    url = http_url(text)
    if set(url) & set("'\"`{}\\#"):
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: percent-encode quotes, braces and backslashes, such as %27 for '"
        )
    return url


def listen_address(default: str) -> Callable[[str], str]:
    """Return a type for host:port as it was given; who gives a port alone is shown the rest."""

    def read(text: str) -> str:
        local = f"{LOOPBACK}:{text.removeprefix(':')}"
        example = local if checked_or_none(split_address, local) else default
        checked(split_address, text, f"host:port, such as {example}")
        return text

    return read


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a type for whole numbers within bounds."""
    expected = (
        f"a whole number from {least} to {most}" if most else f"a whole number, at least {least}"
    )

    def read(text: str) -> int:
        number = int(text)
        if number < least or (most is not None and number > most):
            raise ValueError(text)
        return number

    return lambda text: checked(read, text, expected)


def positive_number(text: str) -> float:
    """Return a finite number above 0."""

    def read(text: str) -> float:
        number = float(text)
        if not 0 < number < math.inf:
            raise ValueError(text)
        return number

    return checked(read, text, "a number above 0")


def name_and_value(text: str) -> tuple[str, str]:
    """Return the two sides of NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: give NAME=VALUE, such as batch_size=64"
        )
    return name, value


def checked_or_none(read: Callable[[str], Value], text: str) -> Value | None:
    """Return what `read` makes of a text, or None if it refuses it."""
    try:
        return read(text)
    except ValueError:
        return None
