"""What tests may not do: depend on how fast a machine is, or leave something behind."""

import ast
import tempfile
from pathlib import Path

import pytest
from support import outlook, surroundings, tools
from support.repository import ROOT, files, name_of

SLEEPERS = {
    "tests/cuda/test_values.py": "keeps a device busy at a pace",
    "tests/integration/faults/test_frozen.py": "a process is frozen for as long as is tested",
    "tests/integration/faults/test_kill.py": "chance decides when a process is killed",
    "tests/integration/faults/test_memory.py": "sends at a pace",
    "tests/integration/faults/test_network.py": "cuts a line now and then",
    "tests/integration/faults/test_restart.py": "chance decides when a process is stopped",
    "tests/integration/test_canary.py": "a canary is frozen for as long as is tested",
    "tests/integration/test_endings.py": "chance decides when a signal comes",
    "tests/integration/test_loop_and_database.py": "looks on while nothing may ask on the loop",
    "tests/integration/test_spikes.py": "trains at a pace",
    "tests/original/many.py": "a client comes back after a pause, as the original one does",
    "tests/unit/client/test_closing.py": "encodes slowly",
    "tests/unit/sinks/spans/test_delivery.py": "counts attempts in a while, of which there are to be none",
    "tests/unit/receiver/test_shared_sessions.py": "looks on while nothing may change",
    "tests/unit/receiver/test_limits.py": "a client is silent for longer than a limit that must not apply",
    "tests/unit/web/peers/test_connections.py": "another bridge does not answer",
    "tests/unit/web/peers/test_forwarding.py": "another bridge does not answer",
    "tests/unit/web/test_http_connections.py": "writes, or reads, slowly",
    "tests/unit/sinks/images/test_sink.py": "counts at most so many requests in a while: fewer on a slow machine",
    "tests/unit/sinks/images/upload/test_uploader.py": "counts at most so many requests in a while",
}
"""Files whose sleep is a pace, a chance or a length of what is tested; none waits for something to happen."""

TESTS = [path for path in files() if name_of(path).startswith("tests/") and path.suffix == ".py"]


def sleeps(path):
    """Return the lines of a file that sleep for longer than a turn of the loop."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (node.func.attr, ast.unparse(node.func.value))
        in {("sleep", "time"), ("sleep", "asyncio")}
        and ast.unparse(node.args[0]) != "0"
    ]


def test_no_test_waits_for_time():
    """A test waits for a condition (support/waiting.py); the few that sleep have a reason, which stands above."""
    found = {
        name_of(path): sleeps(path)
        for path in TESTS
        if not name_of(path).startswith(("tests/support/", "tests/image/"))
    }
    assert {name for name, lines in found.items() if lines} <= SLEEPERS.keys()
    assert {name for name in SLEEPERS if not found.get(name, [0])} == set()


def test_temporary_files_and_settings_have_a_folder_of_the_tests():
    """Every program that a test starts writes its caches and profiles there."""
    folder = Path(tempfile.gettempdir())

    assert folder.name.startswith(surroundings.PREFIX)
    assert Path("~").expanduser() == folder / "home"


def test_folders_of_killed_tests_are_removed(tmp_path, monkeypatch):
    """Those of living ones, and what others have made, stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("TMPDIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("trainbridge-tests-999999999", "trainbridge-tests-1", "other"):
        (tmp_path / name / "deep").mkdir(parents=True)

    folder = surroundings.enter()

    assert {path.name for path in tmp_path.iterdir()} == {
        "trainbridge-tests-1",
        "other",
        folder.name,
    }


@pytest.mark.parametrize("name", outlook.PROGRAMS)
def test_what_is_left_out_is_said_before(monkeypatch, tmp_path, name):
    """A program that is missing is named, with what stays untested and how to get it."""
    monkeypatch.setattr(tools, "found", lambda _: None)
    monkeypatch.setattr(outlook, "found", lambda _: None)

    (line,) = [line for line in outlook.lines() if f"want of {name}:" in line]
    assert outlook.PROGRAMS[name] in line
    assert "`make tools` gets it" in line


def test_the_outlook_names_the_programs_that_the_tests_use():
    """None is missed without a word."""
    used = {
        node.args[0].value
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "tool"
        and isinstance(node.args[0], ast.Constant)
    }
    assert used - {"tar", "e2fsck", "hadolint"} <= outlook.PROGRAMS.keys(), ROOT
