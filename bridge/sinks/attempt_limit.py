"""Keeps a run that starts over and over from filling the disk: its oldest attempts go as new ones begin."""

from bridge.lifecycle import Event, Superseded
from bridge.session import Session
from bridge.sinks.deletions import DeletionRequests
from bridge.storage.deletions import Deletion, ImageScope
from bridge.telemetry import Telemetry


class AttemptLimit:
    """Has the attempt deleted that is one too many whenever another one begins."""

    def __init__(
        self, kept: int, images: ImageScope, requests: DeletionRequests, telemetry: Telemetry
    ) -> None:
        """Keep so many attempts of each session, the newest included; 0: all of them."""
        self._kept = kept
        self._images = images
        self._requests = requests
        self._telemetry = telemetry

    def consume(self, session: Session, event: Event, received: float) -> None:
        """Notice that an attempt is followed by the next one."""
        oldest = session.attempt + 1 - self._kept
        if type(event) is not Superseded or not self._kept or oldest < 1:
            return
        self._requests.add(Deletion(session.id, self._images, round(received * 1000), oldest))
        self._telemetry.attempts_outdated(1)
