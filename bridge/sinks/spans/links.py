"""Links from spans to the pages of this bridge."""

import math
from dataclasses import dataclass
from urllib.parse import quote

from bridge.addresses import images_link


@dataclass(slots=True)
class Pages:
    """Returns links that begin with `public_url`, or "" where that is ""."""

    public_url: str

    def session(self, session_id: str) -> str:
        """Return the link to the page of a session."""
        return f"{self.public_url}/sessions/{quote(session_id, safe='')}" if self.public_url else ""

    def images(self, session_id: str, attempt: int, epoch: int, batch: int | None = None) -> str:
        """Return the link to the images of an epoch, or of one batch, whatever later attempts do again."""
        if not self.public_url:
            return ""
        selection = {"epoch": epoch} if batch is None else {"epoch": epoch, "batch": batch}
        return f"{self.public_url}/{images_link(session_id, attempt=attempt, **selection)}"

    def images_within(self, session_id: str, attempt: int, start: float, end: float) -> str:
        """Return the link to the images of a time: those of the batch with the highest loss in it."""
        if not self.public_url:
            return ""
        at = math.ceil(end * 1000)
        selection = {"at": at, "window_ms": max(1, at - math.floor(start * 1000))}
        return f"{self.public_url}/{images_link(session_id, attempt=attempt, **selection)}"
