"""docs/configuration.md says what can be set."""

import os
import subprocess
import sys

import pytest
import yaml
from support.configuration import BEGIN, END, PAGE, written
from support.markdown import blocks
from support.tools import ROOT

from bridge.config import load

TEXT = PAGE.read_text()


def test_every_setting_stands_on_the_page():
    """Keys, flags, variables, defaults and meanings are those of the definition."""
    assert TEXT.count(BEGIN) == TEXT.count(END) == 1
    assert written(TEXT) == TEXT, "run `.venv/bin/python tests/support/configuration.py`"


@pytest.mark.parametrize("example", blocks(TEXT, "yaml"))
def test_example_files_are_taken(tmp_path, example):
    """A file copied from the page is one that a bridge starts with."""
    path = tmp_path / "trainbridge.yaml"
    path.write_text(example)
    loaded = load({"config": str(path)}, {})

    for name in yaml.safe_load(example):
        assert loaded.origins[name].kind == "config"


def test_an_example_of_a_refusal_is_what_is_said():
    """What the page shows of check-config is what check-config says."""
    [block] = [block for block in blocks(TEXT, "console") if "check-config" in block]
    command, *answer = block.splitlines()
    words = command.removeprefix("$ trainbridge ").split()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TRAINBRIDGE_", "OTEL_"))
    }

    done = subprocess.run(
        [sys.executable, "-m", "bridge", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.splitlines() == answer
