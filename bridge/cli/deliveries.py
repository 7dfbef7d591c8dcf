"""Deliver every session of a spool, and say what becomes of each."""

import argparse
import logging
import sys
import time
from pathlib import Path

from bridge.client.settings import Destination, destination
from bridge.client.spool.folder import InUseError, folders_in
from bridge.client.sync import AbsentError, Delivery, UndeliverableError, deliver
from bridge.errors import BridgeError, SettingError

DONE = 0
FAILED = 1
BAR = 30
"""Characters."""


def deliver_all(arguments: argparse.Namespace) -> int:
    """Deliver every session that has been left, one line each; return the exit status."""
    logging.getLogger("trainbridge").addHandler(logging.NullHandler())  # all of it is told here
    goal = _goal(arguments)
    folders = _folders(arguments.folder)
    if not folders:
        sys.stdout.write(f"{arguments.folder}: nothing is left to deliver\n")
    whole = True
    for place, folder in enumerate(folders, 1):
        try:
            whole &= _deliver(folder, goal, arguments.patience)
        except AbsentError as error:
            left = len(folders) - place
            more = f"; {left} more sessions have not been tried" if left else ""
            raise BridgeError(f"{error}{more}") from error
    return DONE if whole else FAILED


def _goal(arguments: argparse.Namespace) -> Destination:
    try:
        return destination(
            arguments.address,
            token=arguments.token,
            ca_file=arguments.ca_file,
            cert_file=arguments.cert_file,
            key_file=arguments.key_file,
        )
    except (ValueError, OSError) as error:
        raise SettingError(str(error)) from error


def _folders(root: Path) -> list[Path]:
    try:
        folders = list(folders_in(root))
        strangers = [path for path in root.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise BridgeError(f"{root} is no spool: {error.strerror}") from error
    if strangers and not folders:
        raise BridgeError(
            f"{root} is no spool: no session has left anything in it, and it holds other things"
        )
    return folders


def _deliver(folder: Path, goal: Destination, patience_seconds: float) -> bool:
    """Deliver one session, and say what became of it; return whether all of it has arrived."""
    line = _Line(folder.name)
    try:
        delivery = deliver(folder, goal, patience_seconds=patience_seconds, progress=line.progress)
    except AbsentError:
        line.end(f"not delivered; it stays in {folder}")
        raise
    except InUseError:
        line.end("skipped: its training process is still alive, and delivers it by itself")
    except UndeliverableError as error:
        line.end(
            f"not delivered: {error}\n  It stays in {folder}. If another process sends under the same session id, wait for its end."
        )
    except (ValueError, OSError) as error:
        line.end(f"not delivered: {error}")
    else:
        line.end(_told(delivery))
        return delivery.is_whole
    return False


def _told(delivery: Delivery) -> str:
    told = f"{delivery.delivered} messages delivered"
    if delivery.refused:
        told += f", {delivery.refused} refused by the bridge as invalid"
    if delivery.lost:
        told += f", {delivery.lost} lost: damaged, or too large for the bridge"
    return told


class _Line:
    """The line of one session, which moves while it is delivered where somebody can see that."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_seen = sys.stdout.isatty()
        self._started_at = time.monotonic()

    def progress(self, _session_id: str, done: int, messages: int) -> None:
        """Show how far it is."""
        if not self._is_seen:
            return
        share = done / messages if messages else 1.0
        bar = ("=" * round(share * BAR)).ljust(BAR)
        rate = done / max(time.monotonic() - self._started_at, 0.1)
        self._write(f"\r{self._name}: [{bar}] {done}/{messages} messages, {rate:.0f}/s\x1b[K")

    def end(self, text: str) -> None:
        """Say what became of it."""
        self._write(
            f"\r{self._name}: {text}\x1b[K\n" if self._is_seen else f"{self._name}: {text}\n"
        )

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
