"""The images of one run: which are listed, and whether each is what was sent."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

from bridge.canary.run import KnownRun
from bridge.canary.verdict import Finding, Kind, What
from bridge.client import BridgeClient
from bridge.client.query import ProblemError, QueryError
from bridge.client.query_types import ListedBatch, ListedImage

Position = tuple[int, int, int]  # epoch, batch, and position in the batch


@dataclass(slots=True)
class Seen:
    """What one look at the list came to."""

    new: list[int] = field(default_factory=list)
    """The number of the batch of each image that was not listed before."""
    findings: list[Finding] = field(default_factory=list)
    there: int | None = None
    """Different images that are listed and could be read; None: only the end of the list was read."""
    is_complete: bool = True


class Gallery:
    """Follows the list of images of a run, and compares each image once."""

    def __init__(self, run: KnownRun, client: BridgeClient, is_sent: Callable[[int], bool]) -> None:
        """`is_sent` returns whether the batch of a number has been sent by now."""
        self._run = run
        self._client = client
        self._is_sent = is_sent
        self._last: tuple[int, int] | None = None
        self._listed: set[Position] = set()
        self.compared: set[Position] = set()
        self._doubled = 0

    def check(self, *, is_whole: bool) -> Seen:
        """Read the end of the list, or the whole list and all images not compared yet."""
        seen = Seen()
        try:
            self._follow(seen, is_whole=is_whole)
        except QueryError:
            seen.is_complete = False
        return seen

    def _follow(self, seen: Seen, *, is_whole: bool) -> None:
        met: Counter[Position] = Counter()
        for batch in self._list(None if is_whole else self._last):
            key, number = (batch.epoch, batch.batch), self._run.number(batch.epoch, batch.batch)
            self._last = max(self._last or key, key)
            for image in batch.images:
                position = (*key, image.position)
                met[position] += 1
                if position not in self._listed and self._is_sent(number):
                    seen.new.append(number)
                self._listed.add(position)
                if is_whole and position not in self.compared:
                    seen.findings += self._compare(position, batch, image)
        doubled = met.total() - len(met)
        if doubled > self._doubled:
            new, self._doubled = doubled - self._doubled, doubled
            seen.findings.append(Finding(Kind.DUPLICATE, What.IMAGE, len(met), met.total(), new))
        seen.there = len(self.compared & met.keys()) if is_whole else None

    def _list(self, after: tuple[int, int] | None) -> Iterator[ListedBatch]:
        try:
            yield from self._client.batches(self._run.session_id, after=after)
        except ProblemError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def _compare(self, at: Position, batch: ListedBatch, image: ListedImage) -> Iterator[Finding]:
        content = self._read(at)
        if content is None:
            return
        self.compared.add(at)
        run, number, index = self._run, self._run.number(batch.epoch, batch.batch), image.position
        if not (self._is_sent(number) and index < len(run.images(number))):
            yield Finding(Kind.WRONG, What.IMAGE, "nothing", str(at))
            return
        values = (run.predictions(number), run.confidences(number), run.truths(number))
        expected = (run.loss(number), *(value[index] for value in values))
        listed = (batch.loss, image.predicted_class, image.confidence, image.true_class)
        if listed != expected:
            yield Finding(Kind.WRONG, What.IMAGE, str(expected), str(listed))
        sent = run.images(number)[index]
        if content != sent:
            yield Finding(Kind.WRONG, What.IMAGE, _digest(sent), _digest(content))

    def _read(self, position: Position) -> bytes | None:
        try:
            return self._client.image(self._run.session_id, *position)
        except ProblemError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise


def _digest(image: bytes) -> str:
    return f"{len(image)} bytes, SHA-256 {hashlib.sha256(image).hexdigest()[:16]}"
