"""The pages of this bridge that spans point to."""

from dataclasses import dataclass
from urllib.parse import quote

from bridge.addresses import images_link


@dataclass(slots=True)
class Pages:
    """Makes links; they begin with `public_url`, and are left out where that is ""."""

    public_url: str

    def session(self, session_id: str) -> str:
        """Return the page of a session."""
        return f"{self.public_url}/sessions/{quote(session_id, safe='')}" if self.public_url else ""

    def images(self, session_id: str, epoch: int, batch: int | None = None) -> str:
        """Return where the images of an epoch, or of one batch, are shown."""
        if not self.public_url:
            return ""
        selection = {"epoch": epoch} if batch is None else {"epoch": epoch, "batch": batch}
        return f"{self.public_url}/{images_link(session_id, **selection)}"
