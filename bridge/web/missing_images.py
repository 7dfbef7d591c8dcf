"""Why no images of a batch are kept, as far as is known."""

from collections.abc import Mapping

from bridge.connections.check import ConnectionCheck
from bridge.model import ImageResult
from bridge.web.batch_numbers import BatchNumbers
from bridge.web.dependencies import AppDependencies
from bridge.web.formatting import count

STORE_CHECK = "object_store"
"""The connection over which images are stored and read back."""

DECIDED_AFTER_SECONDS = 3.0
"""By then the window of a batch is closed, and what was kept has been committed."""

SPOOL_CHECK = "spool"
"""The check that says whether images can be kept on disk."""

NONE_CAME = (
    "No images came with it. The training loop gave none, or the SDK left them out: it sends those of the batches"
    " with the highest loss, a few a second, and gives up images first when its memory is full"
    " (session.stats counts them)."
)
UNDECIDED = "Whether they are kept is not decided yet: reload this page in a moment."
SAMPLED_OUT = (
    "they were sampled out: of the batches within a moment, the bridge keeps the images of the one with the highest"
    " loss (a higher --images-batches-per-second keeps more, --images-keep all every one, none not any)"
)
DROPPED = (
    "they were dropped, since the bridge had no room for them in memory or on disk"
    " (--spool-max-bytes; bridge_dropped_total counts the reasons)"
)
REFUSED = "they were refused, since they are not JPEG files or have too many pixels a side"
REMOVED = "They are not kept any longer."
NOT_ON_RECORD = (
    "Whether images came with it is not on record. Of the batches within a moment, the bridge keeps the images of the"
    " one with the highest loss."
)

REASONS = (
    (ImageResult.SAMPLED_OUT, SAMPLED_OUT),
    (ImageResult.DROPPED, DROPPED),
    (ImageResult.INVALID, REFUSED),
)


def images_problem(deps: AppDependencies) -> str:
    """Return why no images can be kept at the moment, as readiness says it, or ""."""
    problems = (check.problem() for check in deps.readiness if check.name == SPOOL_CHECK)
    return next(problems, "")


def store_problem(deps: AppDependencies) -> ConnectionCheck | None:
    """Return the last check of the image store where it failed."""
    failed = (check for check in deps.connection_checks() if check.error)
    return next((check for check in failed if check.name == STORE_CHECK), None)


def why_missing(
    numbers: BatchNumbers, results: Mapping[ImageResult, int], *, now: float, problem: str
) -> str:
    """Return why a batch has no images, given what became of all images of its session.

    `problem` is why no images can be kept at the moment, or "".
    """
    if problem:
        return f"Images cannot be kept at the moment: {problem}."
    if numbers.images is None:
        return NOT_ON_RECORD
    if not numbers.images:
        return NONE_CAME
    came = f"{count(numbers.images)} image{'s' if numbers.images != 1 else ''} came with it."
    if numbers.received_at is not None and now - numbers.received_at < DECIDED_AFTER_SECONDS:
        return f"{came} {UNDECIDED}"
    return f"{came} {_what_became_of_them(results)}"


def _what_became_of_them(results: Mapping[ImageResult, int]) -> str:
    possible = [(text, results[result]) for result, text in REASONS if results.get(result)]
    if not possible:
        return REMOVED
    if len(possible) == 1:
        text, _ = possible[0]
        return f"{text[:1].upper()}{text[1:]}."
    causes = [f"{text}: {count(images)} of this session were" for text, images in possible]
    return f"One of these is the reason. {'; '.join(causes)}."
