"""What every command has in common."""

import subprocess
import sys

import pytest

from bridge import __version__, cli
from bridge.cli import extras
from bridge.errors import StorageError


def outcome(capsys, *words):
    """Run a command in this process; return its exit status, output and errors."""
    try:
        status = cli.main(words)
    except SystemExit as leaving:
        status = leaving.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def broken_command(monkeypatch):
    """A command that fails with what it is given."""

    def install(error):
        def fail(_arguments):
            raise error

        command = cli.Command("broken", "break", lambda _parser: None, fail)
        monkeypatch.setattr(cli, "COMMANDS", (command,))

    return install


@pytest.mark.parametrize("words", [["--help"], []])
def test_the_overview_names_every_command_and_where_to_start(capsys, words):
    """A newcomer who types only `trainbridge` learns what there is."""
    status, out, err = outcome(capsys, *words)

    assert status == (0 if words else 2)
    assert err == ""
    assert "Start with `trainbridge demo`" in out
    for command in cli.COMMANDS:
        assert f"  {command.name} " in out


@pytest.mark.parametrize("command", [command.name for command in cli.COMMANDS])
def test_each_command_explains_itself(capsys, command):
    """`--help` works everywhere, and begins with what the command is for."""
    status, out, _ = outcome(capsys, command, "--help")

    assert status == 0
    assert out.startswith(f"usage: trainbridge {command}")


def test_a_word_that_is_not_a_command_is_refused(capsys):
    """The refusal lists what there is."""
    status, _, err = outcome(capsys, "server")

    assert status == 2
    assert "'server'" in err
    assert "serve" in err


def test_the_version_is_printed(capsys):
    """A bug report can say what it is about."""
    assert outcome(capsys, "--version") == (0, f"trainbridge {__version__}\n", "")


def test_a_mistake_of_our_own_is_not_taken_for_a_missing_extra(broken_command):
    """A module of ours that is missing is a bug, and looks like one."""
    broken_command(ModuleNotFoundError("No module named 'bridge.x'", name="bridge.x"))

    with pytest.raises(ModuleNotFoundError):
        cli.main(["broken"])


def test_a_failure_is_one_sentence(capsys, broken_command):
    """What an operator can mend comes without a traceback."""
    broken_command(StorageError("cannot open the database"))

    assert outcome(capsys, "broken") == (1, "", "trainbridge: cannot open the database\n")


def test_ctrl_c_is_not_an_accident(capsys, broken_command):
    """An interrupted command exits as shells expect, silently."""
    broken_command(KeyboardInterrupt())

    assert outcome(capsys, "broken") == (130, "", "")


def test_it_runs_as_a_module():
    """`python -m bridge` is the same command."""
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout == f"trainbridge {__version__}\n"


def test_output_that_nobody_reads_is_not_an_error():
    """`trainbridge check-config | head` ends quietly."""
    command = f"{sys.executable} -m bridge check-config | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)

    assert done.stderr == ""


def test_the_overview_loads_no_server_library():
    """`trainbridge --help` is quick, and works where only the SDK is installed."""
    heavy = sorted(extras.libraries_of(extras.DEMO) | {"grpc"})
    program = f"import sys; from bridge import cli; cli.main([]); sys.exit(str([m for m in {heavy} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.stderr.strip() == "[]"
