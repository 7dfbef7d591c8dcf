"""Read back over HTTP what a user of the bridge would read."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as Line

from bridge.canary.run import Cell, Place
from bridge.canary.verdict import Counts, Values, What

TIMEOUT_SECONDS = 5.0
LARGEST_BYTES = 256 << 20
"""Of an answer; more than this is not read."""

LISTED_AT_ONCE = 200

SIGN = "# TYPE bridge_build_info "
"""Every bridge's page has it, and no page of a proxy that stands in for one."""

COUNTERS = {
    "training_batches_total": What.BATCH,
    "training_batch_loss_count": What.LOSS,
    "training_epochs_completed_total": What.EPOCH,
    "training_predictions_total": What.PREDICTION,
    "training_images_total": What.IMAGE,
}
"""The samples that are read; those with more labels are added up."""


class UnreadableError(Exception):
    """What the bridge shows cannot be read at the moment; that says nothing about what it has."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What /metrics says of one session."""

    counts: Counts
    values: Values
    images_stored: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One image as the index has it."""

    place: Place
    loss: object
    predicted_class: object
    confidence: object
    true_class: object


class Reader:
    """Reads what one bridge shows."""

    def __init__(self, url: str) -> None:
        """Read at this URL, without a slash at its end."""
        self._url = url

    def page(self, session_id: str) -> Shown:
        """Return what /metrics says of a session, nothing but zeros where it is not there.

        Raises UnreadableError.
        """
        text = (self._get("/metrics") or b"").decode(errors="replace")
        if SIGN not in text:
            raise UnreadableError("what answers is not the /metrics page of a bridge")
        return _shown(_lines(text, session_id))

    def images(self, session_id: str, after: Place | None = None) -> Iterator[Listed]:
        """Yield the images in the index by epoch and batch, from the batch behind `after`.

        Raises UnreadableError.
        """
        mark = "" if after is None else f"&after={after.epoch}-{after.batch}"
        while True:
            path = f"/api/v1/sessions/{session_id}/images?limit={LISTED_AT_ONCE}{mark}"
            batches, follow = self._listed(path)
            for batch in batches:
                yield from _listed(batch)
            if not (batches and follow):
                return
            mark = f"&after={batches[-1]['epoch']}-{batches[-1]['batch']}"

    def image(self, session_id: str, place: Place) -> bytes | None:
        """Return the bytes of an image, or None where there is none.

        Raises UnreadableError.
        """
        batch = f"/sessions/{session_id}/batches/{place.epoch}-{place.batch}"
        return self._get(f"{batch}/{place.position}.jpg")

    def _listed(self, path: str) -> tuple[list[dict[str, Any]], object]:
        body = self._get(path)
        if body is None:
            return [], None
        try:
            answer = json.loads(body)
            return list(answer["batches"]), answer["next"]
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableError("the list of images cannot be understood") from error

    def _get(self, path: str) -> bytes | None:
        """Return the body of a page, or None where there is none: 404."""
        try:
            with urllib.request.urlopen(f"{self._url}{path}", timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 -- the command takes http and https only
                body: bytes = answer.read(LARGEST_BYTES)
                if (
                    answer.length
                ):  # read() with a limit does not complain of an answer that breaks off
                    raise UnreadableError("the answer ends too soon")
                return body
        except urllib.error.HTTPError as error:
            with error:
                if error.code == http.client.NOT_FOUND:
                    return None
                raise UnreadableError(f"the bridge answered {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise UnreadableError(f"no answer: {reason or type(error).__name__}") from error


def _lines(text: str, session_id: str) -> list[Line]:
    """Return the samples of one session; the page may hold those of thousands."""
    label = f'session_id="{session_id}"'
    own = "\n".join(line for line in text.split("\n") if label in line)
    try:
        return [
            sample
            for family in text_string_to_metric_families(f"{own}\n")
            for sample in family.samples
        ]
    except ValueError as error:
        raise UnreadableError("the /metrics page cannot be understood") from error


def _shown(samples: list[Line]) -> Shown:
    counts = dict.fromkeys(What, 0)
    cells: dict[Cell, int] = {}
    loss_sum, stored = 0.0, 0
    for sample in samples:
        value, labels = sample.value, sample.labels
        if sample.name in COUNTERS:
            counts[COUNTERS[sample.name]] += int(value)
        if sample.name == "training_batch_loss_sum":
            loss_sum = value
        elif sample.name == "training_predictions_total" and value:
            cells[labels.get("true_class", ""), labels.get("predicted_class", "")] = int(value)
        elif sample.name == "training_images_total" and labels.get("result") == "stored":
            stored = int(value)
    return Shown(counts, Values(loss_sum, cells), stored)


def _listed(batch: dict[str, Any]) -> Iterator[Listed]:
    try:
        for image in batch["images"]:
            yield Listed(
                Place(int(batch["epoch"]), int(batch["batch"]), int(image["position"])),
                batch["loss"],
                image["predicted_class"],
                image["confidence"],
                image["true_class"],
            )
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableError("the list of images cannot be understood") from error
