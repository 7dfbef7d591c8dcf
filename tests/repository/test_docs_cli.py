"""docs/cli.md describes the command line as it is."""

import argparse
import re

import pytest
from support.repository import ROOT

from bridge import cli
from bridge.cli import command

PAGE = (ROOT / "docs" / "cli.md").read_text()
HERE = ("demo", "sessions", "command", "commands", "healthcheck", "rules")
"""Commands whose flags stand on this page; the others have a page of their own."""


def section(name):
    """Return what the page says of a command."""
    return re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


def flags(name):
    """Return the flags of a command, but for --help."""
    (chosen,) = [each for each in cli.COMMANDS if each.name == name]
    parser = argparse.ArgumentParser()
    chosen.arguments(parser)
    return {flag for action in parser._actions for flag in action.option_strings} - {"-h", "--help"}


def test_every_command_is_listed_with_what_it_needs():
    """In the order of `trainbridge --help`, each with its extra."""
    rows = re.findall(r"^\| `([a-z-]+)` \|(?: `\[([a-z]+)\]`)? \|", PAGE, re.MULTILINE)

    listed = {each.name: each.extra for each in cli.COMMANDS}
    assert dict(rows) == listed


@pytest.mark.parametrize("name", HERE)
def test_every_flag_stands_with_its_command(name):
    """And no other."""
    assert set(re.findall(r"(?<![\w-])--[a-z-]+", section(name))) >= flags(name)
    table = re.findall(r"^\| (`--.*?) \|", section(name), re.MULTILINE)
    assert {flag for row in table for flag in re.findall(r"--[a-z-]+", row)} <= flags(name)


def test_every_type_of_command_stands_there():
    """With an example of the parameter that it cannot do without."""
    text = section("command")

    assert all(f"`{word}`" in text for word in command.COMMAND_WORDS)
    assert all(f"--set {name}={example}" in text for name, example in command.REQUIRED.values())


def test_exit_statuses_are_those_of_the_code():
    """The table names each, and what it means does not change unseen."""
    listed = set(map(int, re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)))

    assert listed == {cli.DONE, cli.FAILED, cli.MISUSED, command.NOT_ANSWERED, cli.INTERRUPTED}


def test_nothing_freezes_the_environment_of_the_demo():
    """What getting-started installs into .venv runs from the checkout, and `make demo` does whatever is there."""
    text = (ROOT / "docs" / "getting-started.md").read_text()
    recipe = re.search(r"^demo:.*\n\t@(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]

    assert all("--editable" in line for line in text.splitlines() if "pip install" in line)
    assert recipe.startswith("$(venv)/python -m bridge demo ")
