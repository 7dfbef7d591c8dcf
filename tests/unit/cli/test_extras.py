"""What a command says where the extra that it needs is not installed."""

import sys
import tomllib
from pathlib import Path

import pytest

from bridge import cli
from bridge.cli import extras

ROOT = Path(__file__).parents[3]
EXTRAS = {
    "demo": "demo",
    "serve": "server",
    "check-config": "server",
    "token": "server",
    "canary": "server",
    "mcp": "mcp",
}


@pytest.mark.parametrize(("command", "extra"), EXTRAS.items())
def test_each_command_names_its_own_extra(monkeypatch, capsys, command, extra):
    """Not the extra that the first missing library happens to be in; the way to install it is from this checkout."""
    (chosen,) = [each for each in cli.COMMANDS if each.name == command]
    library = "mcp" if extra == "mcp" else "prometheus_client"

    def fail(_):
        raise ModuleNotFoundError(f"No module named '{library}.x'", name=f"{library}.x")

    broken = cli.Command(chosen.name, chosen.summary, lambda _: None, fail, chosen.extra)
    monkeypatch.setattr(cli, "COMMANDS", (broken,))

    assert cli.main([command]) == 1
    err = capsys.readouterr().err
    assert f"`trainbridge {command}` needs more than the SDK ({library} is missing)" in err
    assert f"{sys.executable} -m pip install --editable '{ROOT}[{extra}]'" in err


def test_every_other_command_does_with_the_sdk():
    """None of them names an extra."""
    assert {each.name for each in cli.COMMANDS if each.extra} == set(EXTRAS)


def test_without_a_checkout_the_hint_needs_no_registry(monkeypatch):
    """Nothing is published, so nothing is said to be."""
    monkeypatch.setattr(extras, "_source", lambda: ("", False))

    assert (
        extras.way_to_install("server")
        == "run `pip install '.[server]'` in a checkout of trainbridge"
    )


def test_the_libraries_are_those_of_the_extras():
    """As many as pyproject.toml lists, so that none is forgotten when one is added."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]

    missed = {name.split(">")[0].partition("[")[0].replace("-", "_") for name in listed["server"]}
    known = {"pydantic_settings", "opentelemetry_sdk", "opentelemetry_exporter_otlp_proto_common"}
    renamed = {"grpcio_health_checking", "grpcio_reflection", "pyjwt", "uvloop"}
    assert missed - known - renamed <= extras.LIBRARIES[extras.SERVER]
