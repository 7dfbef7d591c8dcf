"""Programs under `trainbridge run` that are as they are without it, whatever is in the way; no bridge answers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.runs_of_programs import SECONDS, command, environment, ran

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such processes here")

FAST = ("--sync-seconds", "0.5")

FOREIGN_PROGRAM = """
import os, signal, sys
from bridge.cli import main
def kill(process, number):
    assert number == signal.SIGTERM
    raise PermissionError(1, "Operation not permitted")
os.kill = kill
sys.exit(main(sys.argv[1:]))
"""
"""The command, whose program runs as another user."""


@pytest.fixture
def home(tmp_path):
    """Return the variables of a user whose bridge is away."""
    return environment(tmp_path, "127.0.0.1:1")


def test_a_program_may_have_a_module_that_is_called_as_our_package_is(home, tmp_path):
    """It is found beside the script, as without `trainbridge run`."""
    (tmp_path / "bridge.py").write_text("WHOSE = 'the program own'\n")
    script = tmp_path / "train.py"
    script.write_text("import bridge; print(bridge.WHOSE)")
    done = ran(command(sys.executable, str(script), flags=FAST), home)

    assert (done.returncode, done.stdout) == (0, "the program own\n"), done.stderr


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize(("words", "status"), [(("sh", "-c", "exit 4"), 4), (("nosuch",), 127)])
def test_a_stderr_that_takes_nothing_changes_no_exit_status(home, tmp_path, is_full, words, status):
    """A reader that has gone, or a full disk: there is a warning as the program runs, and a sentence at its end."""
    if is_full and not Path("/dev/full").exists():
        pytest.skip("only Linux has a disk that is always full")
    blocked = tmp_path / "blocked"
    blocked.touch()
    reader, stderr = os.pipe()
    os.close(reader)
    if is_full:
        os.close(stderr)
        stderr = os.open("/dev/full", os.O_WRONLY)
    done = subprocess.run(
        command(*words, flags=FAST),
        env={**home, "XDG_STATE_HOME": str(blocked)},
        stderr=stderr,
        timeout=SECONDS,
        check=False,
    )
    os.close(stderr)

    assert done.returncode == status


def test_a_signal_that_may_not_be_sent_to_the_program_leaves_it_alone(home):
    """As with sudo: it is said, and the program goes on to its own end."""
    reads = "import sys; print('ready', flush=True); sys.exit(int(sys.stdin.readline()))"
    words = command(sys.executable, "-c", reads, flags=FAST)[3:]  # without `python -m bridge`
    with subprocess.Popen(
        [sys.executable, "-c", FOREIGN_PROGRAM, *words],
        env={**home, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout.readline() == "ready\n"
            running.terminate()
            assert "SIGTERM cannot be passed on" in running.stderr.readline()
            running.communicate("4\n", timeout=SECONDS)
        finally:
            running.kill()

    assert running.returncode == 4
