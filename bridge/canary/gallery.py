"""The images of one run: which are listed, and whether each is what was sent."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from bridge.canary.run import Place, has_images, image_of, loss_of, sample_of
from bridge.canary.shown import Listed, UnreadableError
from bridge.canary.verdict import Finding, Kind, What

READ_AT_ONCE = 200
"""So many images are fetched in one look at most; the others follow with the next."""


class Shelf(Protocol):
    """Where images are read back."""

    def images(self, session_id: str, after: Place | None = None) -> Iterator[Listed]:
        """Yield what is listed behind a batch; raises UnreadableError."""

    def image(self, session_id: str, place: Place) -> bytes | None:
        """Return the bytes of an image, or None; raises UnreadableError."""


@dataclass(slots=True)
class Seen:
    """What one look at the images came to."""

    new: list[Place] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    is_listed: bool = True
    """The list could be read."""
    is_read: bool = True
    """So could all images that were asked for."""


class Gallery:
    """Follows the list of images of a run, and fetches each image once."""

    def __init__(
        self, session_id: str, shelf: Shelf, *, samples: int, overdue_seconds: float
    ) -> None:
        """Expect so many images of a batch at most."""
        self._session_id = session_id
        self._shelf = shelf
        self._samples = samples
        self._overdue_seconds = overdue_seconds
        self._listed: set[Place] = set()
        self._unread: dict[Place, None] = {}
        """Those listed and not compared yet, in their order."""
        self._absent: dict[Place, float] = {}
        """Since when one of them has been a 404."""
        self._failing_since: float | None = None
        self._last: Place | None = None
        self._doubled = 0

    @property
    def listed(self) -> int:
        """How many different images have been listed."""
        return len(self._listed)

    @property
    def compared(self) -> int:
        """How many of them have been compared."""
        return len(self._listed) - len(self._unread)

    @property
    def unread(self) -> int:
        """How many of them have not been compared yet."""
        return len(self._unread)

    def look(
        self, stored: int, batches: Callable[[], int], *, at: float, whole: bool = False
    ) -> Seen:
        """Follow the list, and compare what is new on it; `at` is monotonic.

        `stored` images are said to be there; `batches` tells how many batches have been said by the time
        an image of one is met. Where the list seems too short, or if the `whole` is asked for, it is read again from its beginning: an image may have
        been put in behind the last look, or once more.
        """
        seen = Seen()
        try:
            self._follow(seen, batches, self._last)
            if whole or self.listed < stored:
                self._follow(seen, batches, None)
        except UnreadableError:
            seen.is_listed = False
            self._failing_since = self._failing_since or at
            return seen
        if not self._unread:
            self._failing_since = None
        self._compare(seen, at)
        return seen

    def unreadable(self) -> None:
        """Note that nothing can be read at the moment: what was not there before it may be on its way."""
        self._absent.clear()

    def is_failing(self, at: float) -> bool:
        """Tell whether the list or the images have not been readable for long."""
        since = self._failing_since
        return since is not None and at - since >= self._overdue_seconds

    def _follow(self, seen: Seen, batches: Callable[[], int], after: Place | None) -> None:
        met: set[Place] = set()
        doubled = 0
        for listed in self._shelf.images(self._session_id, after):
            doubled += listed.place in met
            met.add(listed.place)
            if listed.place not in self._listed:
                self._take(seen, listed, batches)
        if doubled > self._doubled:
            seen.findings.append(
                Finding(
                    Kind.DUPLICATE,
                    What.IMAGE,
                    len(met),
                    len(met) + doubled,
                    doubled - self._doubled,
                )
            )
            self._doubled = doubled

    def _take(self, seen: Seen, listed: Listed, batches: Callable[[], int]) -> None:
        place = listed.place
        self._listed.add(place)
        if self._last is None or (place.epoch, place.batch) > (self._last.epoch, self._last.batch):
            self._last = place
        is_sent = place.number < batches() and has_images(place.number)
        if not is_sent or place.position >= self._samples:
            seen.findings.append(Finding(Kind.WRONG, What.IMAGE, "nothing", str(place)))
            return
        sample = sample_of(place.number, place.position)
        expected = Listed(
            place,
            loss_of(place.number),
            sample.predicted_class,
            sample.confidence,
            sample.true_class,
        )
        if listed != expected:
            seen.findings.append(Finding(Kind.WRONG, What.IMAGE, str(expected), str(listed)))
        seen.new.append(place)
        self._unread[place] = None

    def _compare(self, seen: Seen, at: float) -> None:
        for place in list(self._unread)[:READ_AT_ONCE]:
            del self._unread[place]
            try:
                found = self._shelf.image(self._session_id, place)
            except UnreadableError:
                self._failing_since = self._failing_since or at
                self._unread[place] = None  # behind all others, which may do better
                seen.is_read = False
                return
            self._failing_since = None
            self._judge(seen, place, found, at)

    def _judge(self, seen: Seen, place: Place, found: bytes | None, at: float) -> None:
        expected = image_of(self._session_id, place)
        if found is None and at - self._absent.setdefault(place, at) < self._overdue_seconds:
            self._unread[place] = None
            return
        self._absent.pop(place, None)
        if found is None:
            seen.findings.append(Finding(Kind.MISSING, What.IMAGE, str(place), "listed, and 404"))
        elif found != expected:
            seen.findings.append(Finding(Kind.WRONG, What.IMAGE, _told(expected), _told(found)))


def _told(image: bytes) -> str:
    return f"{len(image)} bytes, SHA-256 {hashlib.sha256(image).hexdigest()[:16]}"
