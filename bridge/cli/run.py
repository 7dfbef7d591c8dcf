"""`trainbridge run`."""

import argparse
import os

from bridge.cli.arguments import STANDARD_INPUT, unusable
from bridge.cli.parsing import name_and_value, positive_number
from bridge.cli.sync import add_connection
from bridge.client.launch.preparation import Choices, Launch, find_program, prepare, say
from bridge.errors import BridgeError, SettingError

NOT_FOUND = 127
NOT_EXECUTABLE = 126
"""As shells have it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`."""
    parser.usage = "trainbridge run [OPTION ...] [--] COMMAND [ARGUMENT ...]"
    parser.epilog = (
        "Examples: trainbridge run -- python train.py --lr 0.1;"
        " srun trainbridge run -- python train.py; trainbridge run -- torchrun --nproc-per-node 8 train.py."
        " Its exit status is that of COMMAND (128 + N where signal N has killed it), 127 if there is no such"
        " command, 126 if it cannot be executed."
    )
    parser.add_argument(
        "--session-id",
        default="",
        metavar="NAME",
        help="what the run is called; auto: after its job of SLURM, Kubernetes or torchrun, so that it goes on"
        " under this name after a restart (default: auto where there is a job, else after the script)",
    )
    add_connection(parser)
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        type=name_and_value,
        metavar="NAME=VALUE",
        help="a label of the run; may be repeated",
    )
    parser.add_argument(
        "--spool-dir",
        default="",
        metavar="DIR",
        help="where messages are kept that have not been delivered (default: trainbridge/spool in"
        " $XDG_STATE_HOME or ~/.local/state) [TRAINBRIDGE_SPOOL_DIR]",
    )
    parser.add_argument("--no-spool", action="store_true", help="keep nothing on disk")
    parser.add_argument(
        "--no-autodetect",
        action="store_true",
        help="add no callback to Lightning, Transformers, Accelerate and Keras; sessions that the program makes"
        " itself are those of the run all the same",
    )
    parser.add_argument(
        "--sync-seconds",
        type=positive_number,
        default=30.0,
        metavar="SECONDS",
        help="how long what the program has left is delivered for after its end (default: %(default)g)",
    )
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="the program and its arguments, which are not touched",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the program, and return its exit status."""
    words = list(arguments.command)
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        raise SettingError(
            "nothing to run: give a command, such as trainbridge run -- python train.py"
        )
    if os.name != "posix" or not hasattr(os, "posix_spawnp"):
        raise BridgeError(
            "`trainbridge run` needs a POSIX system: here, make a TrainingSession in the script"
        )
    from bridge.client.launch.launcher import launch  # noqa: PLC0415 -- no other command waits for it

    settled = _prepare(words, arguments)
    try:
        return launch(words, settled, seconds=arguments.sync_seconds)
    except FileNotFoundError as error:
        found = find_program(words[0], settled.environment)
        return _say(NOT_FOUND, f"{words[0]}: {_not_found(found, error)}")
    except OSError as error:
        return _say(
            NOT_EXECUTABLE,
            f"{words[0]}: cannot be executed: {error.strerror}; make it executable (chmod +x), or name its"
            f" interpreter: trainbridge run -- python {words[0]}",
        )


def _prepare(words: list[str], arguments: argparse.Namespace) -> Launch:
    if arguments.token_file == STANDARD_INPUT:
        raise SettingError(
            "--token-file -: standard input belongs to the program that is run; name the file of the token"
        )
    names = ("address", "token", "token_file", "ca_file", "cert_file", "key_file")
    choices = Choices(
        arguments.session_id,
        dict(arguments.label),
        arguments.spool_dir,
        has_spool=not arguments.no_spool,
        autodetect=not arguments.no_autodetect,
        connection={name: getattr(arguments, name) for name in names},
    )
    try:
        return prepare(words, choices)
    except (ValueError, OSError) as error:
        raise unusable(error) from error


def _not_found(found: str | None, error: OSError) -> str:
    if found is not None:
        return (
            f"cannot be executed: {error.strerror}; does the interpreter in its first line exist?"
        )
    return "no such command; is its environment activated, and its name right?"


def _say(status: int, sentence: str) -> int:
    say(sentence)
    return status
