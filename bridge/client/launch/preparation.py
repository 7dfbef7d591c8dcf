"""What a run is called, where it goes, and what its program receives: settled before it starts."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from bridge.client.launch.run_folder import VARIABLE, Run
from bridge.client.settings import Destination, ProcessRank, destination, process_rank, session_name
from bridge.client.stable_names import AUTO, stable_name

HOOK = Path(__file__).parent / "hook"
"""Put in front of PYTHONPATH: every Python of the program imports its sitecustomize.py."""

AUTODETECT_VARIABLE = "TRAINBRIDGE_AUTODETECT"

NODE_FLAGS = ("--node-rank", "--node_rank", "--machine-rank", "--machine_rank")
"""By which launchers learn on which of several machines they are."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line says; "" and None: nothing."""

    session_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    spool_dir: str = ""
    has_spool: bool = True
    autodetect: bool = True
    connection: Mapping[str, str] = field(default_factory=dict)
    """Address, token and files by the names that TrainingSession has for them."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What is settled."""

    run: Run
    bridge: Destination
    environment: Mapping[str, str]
    """Of the program, but for the folder of the run."""
    spool: Path | None
    warnings: tuple[str, ...] = ()


def prepare(
    words: Sequence[str], choices: Choices, environment: Mapping[str, str] = os.environ
) -> Launch:
    """Return what is settled for a program. Raises ValueError and OSError for what must be changed."""
    bridge = destination(
        choices.connection.get("address", ""),
        **{
            name: choices.connection.get(name, "")
            for name in ("token", "token_file", "ca_file", "cert_file", "key_file")
        },
        environment=environment,
    )
    process = process_rank(environment)
    is_reported = process.rank == 0 and node_rank(words) == 0
    name = run_id(choices.session_id, words, process, environment, is_reported=is_reported)
    spool, warnings = spool_folder(choices, environment)
    return Launch(
        Run(name, uuid4().hex, dict(choices.labels), is_reported),
        bridge,
        environment_of_program(choices, spool, environment),
        spool,
        warnings,
    )


def run_id(
    wanted: str,
    words: Sequence[str],
    process: ProcessRank,
    environment: Mapping[str, str],
    *,
    is_reported: bool,
) -> str:
    """Return what the run is called: as wanted, else after its job, else after the program.

    "" where this is not the first machine, and nothing says what the first one calls it.
    """
    if wanted and wanted != AUTO:
        return session_name(wanted, "", ProcessRank(), "zero", environment)
    try:
        return stable_name(AUTO, "", process, environment) or ""
    except ValueError:
        if wanted == AUTO:
            raise
    if not is_reported:
        return ""
    return session_name(None, program_name(words), ProcessRank(), "zero", environment)


def program_name(words: Sequence[str]) -> str:
    """Return what a program is called: its script or module without folder and ending, else its command."""
    scripts = [word for word in words if word.endswith((".py", ".sh"))]
    if scripts:
        return Path(scripts[0]).stem
    if "-m" in words[1:-1]:
        return words[words.index("-m") + 1].rpartition(".")[2]
    return Path(words[0]).name


def node_rank(words: Sequence[str]) -> int:
    """Return on which of several machines a launcher starts its processes, by its flags; 0: the first, or one."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        flag, equals, value = word.partition("=")
        number = value if equals else following
        if flag in NODE_FLAGS and number.isdecimal():
            return int(number)
    return 0


def spool_folder(
    choices: Choices, environment: Mapping[str, str]
) -> tuple[Path | None, tuple[str, ...]]:
    """Return where messages are kept that have not been delivered, and what is to be said of it.

    Raises OSError where a folder that was asked for cannot be used; without the one of our own it goes on.
    """
    if not choices.has_spool:
        return None, ()
    given = choices.spool_dir or environment.get("TRAINBRIDGE_SPOOL_DIR", "")
    state = environment.get("XDG_STATE_HOME") or "~/.local/state"
    folder = Path(given or f"{state}/trainbridge/spool").expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "not writable", str(folder))
    except OSError as error:
        if given:
            raise
        return None, (
            (
                f"nothing is kept on disk, since {folder} cannot be used ({error.strerror}): give --spool-dir,"
                " or --no-spool to be without"
            ),
        )
    return folder.absolute(), ()


def environment_of_program(
    choices: Choices, spool: Path | None, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of the program: ours, with what the command line says of the bridge."""
    changed = dict(environment)
    given = {name: value for name, value in choices.connection.items() if value}
    if "token_file" in given:
        given["token_file"] = str(Path(given["token_file"]).expanduser().absolute())
        changed.pop("TRAINBRIDGE_TOKEN", None)  # which would come before the file
    for name, value in given.items():
        changed[f"TRAINBRIDGE_{name.upper()}"] = value
    if spool is not None:
        changed["TRAINBRIDGE_SPOOL_DIR"] = str(spool)
    else:
        changed.pop("TRAINBRIDGE_SPOOL_DIR", None)
    changed.pop(VARIABLE, None)
    before = environment.get("PYTHONPATH", "")
    changed["PYTHONPATH"] = os.pathsep.join([str(HOOK), *([before] if before else [])])
    changed[AUTODETECT_VARIABLE] = "1" if choices.autodetect else "0"
    return changed


def find_program(word: str, environment: Mapping[str, str]) -> str | None:
    """Return the file that a command names, as the shell would find it; None: there is none that can be run."""
    return shutil.which(word, path=environment.get("PATH", os.defpath))


def say(text: str) -> None:
    """Tell the user something on stderr, which belongs to the program, so no more than that.

    Where nobody reads it any more, or its disk is full, the program still runs to its own end.
    """
    write_on_stderr(f"trainbridge run: {text}\n")


def write_on_stderr(text: str) -> None:
    """Write on stderr, if there is one that takes it; never raises OSError."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):  # ValueError: it is closed
        _give_up_stderr()


def _give_up_stderr() -> None:
    """Have what stderr could not write thrown away: Python would try it again at the exit, and exit with 120."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)
