"""Deliver every session of a spool, and report each of them."""

import argparse
import json
import logging
import shlex
import sys
import time
from pathlib import Path

from bridge.cli.arguments import chosen_token, unusable
from bridge.cli.exit_status import DONE, FAILED
from bridge.client.settings import Destination, destination
from bridge.client.spool.folder import (
    InUseError,
    folders_in,
    is_set_aside,
    set_aside_in,
    started_ms,
)
from bridge.client.sync import (
    BridgeUnreachableError,
    NotAllowedError,
    SyncResult,
    UndeliverableError,
    deliver,
)
from bridge.errors import BridgeError, SettingError

BAR = 30
"""Characters."""


def deliver_all(arguments: argparse.Namespace) -> int:
    """Deliver every session that has been left, with one line for each; return the exit status."""
    destination = _destination(arguments)
    logging.getLogger("trainbridge").addHandler(logging.NullHandler())  # all of it is reported here
    folders = _folders(arguments)
    if not folders and not arguments.json:
        sys.stdout.write(f"{arguments.folder}: nothing is left to deliver\n")
    if arguments.session_id is not None and len(folders) != 1:
        raise SettingError("--as delivers one session: name its folder")
    is_whole = True
    for number, folder in enumerate(folders, 1):
        try:
            is_whole &= _deliver(folder, destination, arguments)
        except BridgeUnreachableError as error:
            left = len(folders) - number
            others = "one more session has" if left == 1 else f"{left} more sessions have"
            more = f"; {others} not been tried" if left else ""
            raise BridgeError(f"{error}{more}") from error
    return DONE if is_whole else FAILED


def _destination(arguments: argparse.Namespace) -> Destination:
    token, token_file = chosen_token(arguments)
    try:
        return destination(
            arguments.address,
            token=arguments.token or token,
            token_file=token_file,
            ca_file=arguments.ca_file,
            cert_file=arguments.cert_file,
            key_file=arguments.key_file,
        )
    except (ValueError, OSError) as error:
        raise unusable(error) from error


def _folders(arguments: argparse.Namespace) -> list[Path]:
    root: Path = arguments.folder
    if is_set_aside(root):
        raise BridgeError(f"{root} has been delivered, and is kept because some of it is damaged")
    try:
        folders = sorted(folders_in(root), key=started_ms)  # one attempt after the other
        others = [path for path in root.iterdir() if not path.name.startswith(".")]
        kept = set_aside_in(root)
    except OSError as error:
        raise BridgeError(
            f"{root} is not a spool: {error.strerror}; give the spool_dir of the training processes, or a folder in it"
        ) from error
    for path in kept:
        line = _Line(path.name, is_json=arguments.json)
        line.end("has been delivered; kept because some of it is damaged")
    if others and not folders and not kept:
        raise BridgeError(
            f"{root} is not a spool: no session has left anything in it, and it holds other things;"
            " give the spool_dir of the training processes, or a folder in it"
        )
    return folders


def _deliver(folder: Path, destination: Destination, arguments: argparse.Namespace) -> bool:
    """Deliver one session, and report it; return whether all of it has arrived."""
    line = _Line(folder.name, is_json=arguments.json)
    try:
        result = deliver(
            folder,
            destination,
            patience_seconds=arguments.patience,
            progress=line.progress,
            waiting=lambda reason: line.report_waiting(
                f"{reason}; trying until nothing has moved for {arguments.patience:g} s (--patience)"
            ),
            session_id=arguments.session_id,
        )
    except BridgeUnreachableError:
        line.end(f"not delivered; it stays in {folder}")
        raise
    except InUseError:
        line.end("skipped: its training process is still alive, and delivers it by itself")
    except NotAllowedError as error:
        line.end(f"not delivered: {error}\n  It stays in {folder}.")
    except UndeliverableError as error:
        line.end(
            f"not delivered: {error}\n  It stays in {folder}. If another process sends under the same session id, wait for its end,"
            f" or deliver this as a session of its own: trainbridge sync {shlex.quote(str(folder))} --as"
        )
    except (ValueError, OSError) as error:
        line.end(f"not delivered: {error}\n  It stays in {folder}.")
    else:
        line.end(_summary(result, arguments), result)
        return result.is_whole
    return False


def _summary(result: SyncResult, arguments: argparse.Namespace) -> str:
    text = f"{result.delivered} messages delivered"
    if arguments.session_id is not None:
        text += f" as {result.session_id}"
    if result.refused:
        text += f", {result.refused} refused by the bridge as invalid"
    if result.lost:
        least = "at least " if result.is_lost_uncounted else ""
        text += f", {least}{result.lost} lost: damaged, missing, or too large for the bridge"
    if result.removal_error:
        return f"{text}\n  {result.kept} could not be removed: {result.removal_error}"
    return f"{text}\n  What was left is kept in {result.kept}" if result.kept else text


def _figures(result: SyncResult | None) -> dict[str, object]:
    """Return what became of a session; nothing of it where it has not been delivered."""
    if result is None:
        return {"is_whole": False}
    names = ("session_id", "delivered", "refused", "lost", "is_whole")
    return {name: getattr(result, name) for name in names}


class _Line:
    """The line of one session: a sentence, or an object for scripts; a terminal is shown progress."""

    def __init__(self, name: str, *, is_json: bool) -> None:
        self._name = name
        self._is_json = is_json
        self._is_terminal = sys.stdout.isatty() and not is_json
        self._started_at = time.monotonic()

    def progress(self, _session_id: str, done: int, messages: int) -> None:
        """Show how much is delivered."""
        if not self._is_terminal:
            return
        share = done / messages if messages else 1.0
        bar = ("=" * round(share * BAR)).ljust(BAR)
        rate = done / max(time.monotonic() - self._started_at, 0.1)
        self._write(f"\r{self._name}: [{bar}] {done}/{messages} messages, {rate:.0f}/s\x1b[K")

    def report_waiting(self, text: str) -> None:
        """Say on stderr, in a line of its own, why nothing is delivered for now."""
        if self._is_terminal:
            self._write("\r\x1b[K")
        sys.stderr.write(f"{self._name}: {text}\n")
        sys.stderr.flush()

    def end(self, text: str, result: SyncResult | None = None) -> None:
        """Replace the progress by the outcome."""
        if self._is_json:
            self._write(
                json.dumps({"folder": self._name, "outcome": text, **_figures(result)}) + "\n"
            )
            return
        self._write(
            f"\r{self._name}: {text}\x1b[K\n" if self._is_terminal else f"{self._name}: {text}\n"
        )

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
