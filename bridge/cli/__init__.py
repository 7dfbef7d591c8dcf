"""The command `trainbridge`."""

import argparse
import contextlib
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge import __version__
from bridge.cli import (
    canary,
    check_config,
    command,
    command_history,
    demo,
    healthcheck,
    mcp,
    rules,
    run,
    serving,
    sessions,
    sync,
    token,
)
from bridge.cli.exit_status import DONE, FAILED, INTERRUPTED, MISUSED
from bridge.cli.extras import DEMO, MCP, SERVER, libraries_of, way_to_install
from bridge.cli.parsing import Parser
from bridge.client.query import QueryError
from bridge.errors import BridgeError, SettingError


@dataclass(frozen=True, slots=True)
class Command:
    """One word after `trainbridge`."""

    name: str
    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    extra: str = ""
    """What it needs beyond the SDK."""


COMMANDS = (
    Command(
        "demo",
        "train a small real model and show it live: the quickest way to see what this is",
        demo.add_arguments,
        demo.run,
        DEMO,
    ),
    Command("serve", "run a bridge", serving.add_arguments, serving.serve, SERVER),
    Command(
        "check-config",
        "show the settings in effect and where each comes from, or what is wrong with them",
        check_config.add_arguments,
        check_config.run,
        SERVER,
    ),
    Command(
        "token",
        "make the tokens by which trainers, people and programs get in, list and check them",
        token.add_arguments,
        token.run,
        SERVER,
    ),
    Command(
        "sessions",
        "list the training sessions of a running bridge",
        sessions.add_arguments,
        sessions.run,
    ),
    Command(
        "command",
        "send a command to a training session, such as pause, resume or stop",
        command.add_arguments,
        command.run,
    ),
    Command(
        "commands",
        "list the commands that a training session was sent, and their answers",
        command_history.add_arguments,
        command_history.run,
    ),
    Command(
        "run",
        "run a training program under a session, without a change to it",
        run.add_arguments,
        run.run,
    ),
    Command(
        "sync",
        "deliver what training processes have left in a spool",
        sync.add_arguments,
        sync.run,
    ),
    Command(
        "healthcheck",
        "check whether a running bridge is ready; exit status 0 if it is",
        healthcheck.add_arguments,
        healthcheck.run,
    ),
    Command(
        "rules",
        "print the alert rules, with links to the addresses of an installation",
        rules.add_arguments,
        rules.run,
    ),
    Command(
        "mcp",
        "answer an assistant that asks how runs are doing, over the Model Context Protocol",
        mcp.add_arguments,
        mcp.run,
        MCP,
    ),
    Command(
        "canary",
        "stream a known run without end, and report on /metrics what is missing, doubled, wrong or late",
        canary.add_arguments,
        canary.run,
        SERVER,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit status: 0 done, 1 failed, 2 a setting must be changed, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((command for command in COMMANDS if words and command.name == words[0]), None)
    try:
        return _overview(words) if chosen is None else _run(chosen, words[1:])
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _flush_or_discard()
        return DONE
    except (BridgeError, QueryError, ModuleNotFoundError, OSError) as error:
        _flush_or_discard()
        return _fail(
            MISUSED if isinstance(error, SettingError) else FAILED, *_sentences(error, chosen)
        )


def _run(chosen: Command, words: list[str]) -> int:
    parser = Parser(
        f"trainbridge {chosen.name}",
        description=f"{chosen.summary[0].upper()}{chosen.summary[1:]}.",
        allow_abbrev=False,
    )
    chosen.arguments(parser)
    try:
        return chosen.run(parser.read(words))
    finally:
        _flush()  # here, where an error can be said: the flush of Python itself comes too late


def _overview(words: list[str]) -> int:
    """Print what there is, or say that the first word is not a command; a command's own flags are added when it is chosen."""
    width = max(len(command.name) for command in COMMANDS)
    lines = "\n".join(f"  {command.name:<{width}}  {command.summary}" for command in COMMANDS)
    parser = Parser(
        "trainbridge",
        usage="trainbridge COMMAND [--help] ...",
        description="Live telemetry of model training: from gRPC to Prometheus, OpenTelemetry and object storage.",
        epilog=f"commands:\n{lines}\n\nStart with `trainbridge demo`; `trainbridge COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"trainbridge {__version__}")
    if words and not words[0].startswith("-"):
        parser.error(_unknown(words[0]))
    parser.read(words)
    parser.print_help()
    return MISUSED


def _unknown(word: str) -> str:
    names = [command.name for command in COMMANDS]
    close = difflib.get_close_matches(word, names, n=1)
    meant = f"did you mean `trainbridge {close[0]}`?" if close else f"there are {', '.join(names)}"
    return f"unknown command {word!r}: {meant}"


def _sentences(error: Exception, chosen: Command | None) -> list[str]:
    """Return what is wrong, and what to do; raises what is a mistake of our own."""
    if isinstance(error, ModuleNotFoundError):
        return [_missing(error, chosen)]
    if isinstance(error, OSError):
        # Of this machine, not of the program: a full disk, a file without permission.
        reason = error.strerror or str(error) or type(error).__name__
        return [f"{error.filename}: {reason}" if error.filename else f"cannot go on: {reason}"]
    return str(error).splitlines()


def _missing(error: ModuleNotFoundError, chosen: Command | None) -> str:
    name = (error.name or "").partition(".")[0]
    if chosen is None or not chosen.extra or name not in libraries_of(chosen.extra):
        raise error
    return (
        f"`trainbridge {chosen.name}` needs more than the SDK ({name} is missing):"
        f" {way_to_install(chosen.extra)}"
    )


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _flush_or_discard() -> None:
    """Write what is still buffered, or send it nowhere: otherwise Python prints a traceback while it exits."""
    try:
        _flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(status: int, *lines: str) -> int:
    # Where even stderr is closed, the status says it.
    with contextlib.suppress(OSError, AttributeError):
        for line in lines:
            sys.stderr.write(f"trainbridge: {line}\n")
    return status
