"""The command `trainbridge`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge import __version__
from bridge.cli import canary, check_config, demo, query, serving, sync
from bridge.client.query import QueryError
from bridge.errors import BridgeError, SettingError

DONE = 0
FAILED = 1
MISUSED = 2
"""A flag, variable or file must be changed; also what argparse exits with."""

INTERRUPTED = 130

SERVER_LIBRARIES = frozenset(
    {
        "aiohttp",
        "grpc_health",
        "grpc_reflection",
        "jinja2",
        "minio",
        "opentelemetry",
        "prometheus_client",
        "pydantic",
        "pydantic_settings",
        "yaml",
    }
)
DEMO_LIBRARIES = frozenset({"numpy", "PIL", "psutil", "sklearn", "tqdm"})


@dataclass(frozen=True, slots=True)
class Command:
    """One word after `trainbridge`."""

    name: str
    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS = (
    Command(
        "demo",
        "train a small real model and show it live: the quickest way to see what this is",
        demo.add_arguments,
        demo.run,
    ),
    Command("serve", "run a bridge", serving.add_arguments, serving.serve),
    Command(
        "check-config",
        "show the settings in effect and where each comes from, or what is wrong with them; with --connect, try what they lead to",
        check_config.add_arguments,
        check_config.run,
    ),
    Command(
        "sessions",
        "list the training sessions of a running bridge",
        query.add_sessions_arguments,
        query.sessions,
    ),
    Command(
        "command",
        "send a command to a training session: pause, resume, stop ...",
        query.add_command_arguments,
        query.command,
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
        query.add_healthcheck_arguments,
        query.healthcheck,
    ),
    Command(
        "canary",
        "stream a known run without end, and report on /metrics what is missing, doubled, wrong or late",
        canary.add_arguments,
        canary.run,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit status: 0 done, 1 failed, 2 a setting must be changed."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _run(words)
        sys.stdout.flush()
    except SettingError as error:
        return _fail(MISUSED, *str(error).splitlines())
    except (BridgeError, QueryError) as error:
        return _fail(FAILED, str(error))
    except ModuleNotFoundError as error:
        return _fail(FAILED, _missing(error))
    except BrokenPipeError:
        # The reader of our output has closed it; without this Python prints a traceback while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    else:
        return status


def _run(words: list[str]) -> int:
    chosen = next((command for command in COMMANDS if words and command.name == words[0]), None)
    if chosen is None:
        _overview().parse_args(words)
        _overview().print_help()
        return DONE if words else MISUSED
    parser = argparse.ArgumentParser(
        f"trainbridge {chosen.name}",
        description=f"{chosen.summary[0].upper()}{chosen.summary[1:]}.",
        allow_abbrev=False,
    )
    chosen.arguments(parser)
    return chosen.run(parser.parse_args(words[1:]))


def _overview() -> argparse.ArgumentParser:
    """Return the parser of `trainbridge --help`; a command's own flags are added when it is chosen."""
    width = max(len(command.name) for command in COMMANDS)
    lines = "\n".join(f"  {command.name:<{width}}  {command.summary}" for command in COMMANDS)
    parser = argparse.ArgumentParser(
        "trainbridge",
        usage="trainbridge COMMAND [--help] ...",
        description="Live telemetry of model training: from gRPC to Prometheus, OpenTelemetry and object storage.",
        epilog=f"commands:\n{lines}\n\nStart with `trainbridge demo`; `trainbridge COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"trainbridge {__version__}")
    parser.add_argument(
        "command", nargs="?", choices=[command.name for command in COMMANDS], help=argparse.SUPPRESS
    )
    return parser


def _missing(error: ModuleNotFoundError) -> str:
    name = (error.name or "").partition(".")[0]
    if name in SERVER_LIBRARIES | DEMO_LIBRARIES:
        extra = "demo" if name in DEMO_LIBRARIES else "server"
        return f"this command needs more than the SDK ({name} is missing): pip install 'trainbridge[{extra}]'"
    raise error


def _fail(status: int, *lines: str) -> int:
    for line in lines:
        sys.stderr.write(f"trainbridge: {line}\n")
    return status
