"""What `trainbridge run` leaves in the spool of a program that could not say how it ended."""

import json
from contextlib import suppress
from pathlib import Path

from bridge.client.calls import StatusCall
from bridge.client.endings import Ending
from bridge.client.launch.run_folder import write_whole
from bridge.protocol import Status

FILE = "ended.json"


def leave_end(folder: Path, end: StatusCall) -> None:
    """Write it, for whoever delivers the rest, unless the disk is full."""
    text = json.dumps({"status": end.status.name, "message": end.message, "ending": end.ending})
    with suppress(OSError):
        write_whole(folder / FILE, text)


def end_left_in(folder: Path) -> StatusCall | None:
    """Return it; None where nothing is left, or it cannot be read."""
    try:
        said = json.loads((folder / FILE).read_text())
        return StatusCall(
            0.0, Status[said["status"]], str(said["message"]), Ending(said["ending"]).value
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
