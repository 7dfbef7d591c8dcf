"""The parser of every command, and the types that its arguments have."""

import argparse
import math
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from bridge.addresses import check_url, split_address

MISUSED = 2
"""A flag, variable or file must be changed; also what argparse exits with."""

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


def listen_address(text: str) -> str:
    """Return host:port as it was given."""
    checked(split_address, text, "host:port, such as 127.0.0.1:9464")
    return text


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
