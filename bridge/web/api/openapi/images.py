"""Batches and their images, for the OpenAPI document."""

from bridge.web.api.image_listing import LATEST_MS
from bridge.web.api.images import DEFAULT_LIMIT, MAX_LIMIT, get_batch, list_images
from bridge.web.api.openapi.shapes import (
    ATTEMPT,
    BATCH_IN_PATH,
    NEXT,
    SESSION_IN_PATH,
    Operation,
    Parameter,
    flag,
    limit,
    many,
    maybe,
    real,
    record,
    ref,
    text,
    url,
    whole,
)

PLACE = {"epoch": whole(), "batch": whole()}

IMAGE = record(
    "An image; it repeats what its batch has, so that it can be the row of a table.",
    **PLACE,
    received_ms=whole("When its batch came, in milliseconds since 1970."),
    loss=maybe(ref("Number"), "Of its batch; NaN also stands for an infinite one."),
    batch_url=url("The page of its batch."),
    position=whole("In its batch, from 0."),
    url=url("The JPEG."),
    predicted_class=maybe({"type": "integer"}),
    predicted_label=maybe(text()),
    confidence=maybe(real(exclusiveMinimum=0, maximum=1)),
    true_class=maybe({"type": "integer"}),
    true_label=maybe(text()),
    is_wrong=flag(),
    in_store=flag("Whether it lies in the object store."),
    is_lost=flag("Whether only a bridge had it that is gone, with its disk: it cannot be shown."),
)

BATCH_WITH_IMAGES = record(
    "A batch with the images that were kept of it.",
    **PLACE,
    attempt=whole(minimum=1),
    received_ms=whole("Milliseconds since 1970."),
    loss=maybe(ref("Number"), "NaN also stands for an infinite one."),
    url=url("Its page."),
    images=many(ref("Image")),
)

BATCH = record(
    "What is known of a batch.",
    **PLACE,
    loss=maybe(ref("Number"), "null: it is not on record."),
    received_ms=maybe(whole(), "Milliseconds since 1970."),
    around=maybe(
        ref("LossBin"), "What the loss curve has of it and its neighbours, where its loss is not."
    ),
    images_received=maybe(whole()),
    images=many(ref("Image")),
    previous_with_images=maybe(url()),
    next_with_images=maybe(url()),
    url=url("Its page."),
    attempt=whole(minimum=1),
    also_in=many(whole(minimum=1), "Other attempts that have this batch."),
    images_missing_because=maybe(text(), "Why it has no images; null: it has some."),
)

SCHEMAS = {"Image": IMAGE, "BatchWithImages": BATCH_WITH_IMAGES, "Batch": BATCH}

OPERATIONS = {
    list_images: Operation(
        "Images",
        "List batches with images: by epoch and batch, or those of a time, the newest first",
        {200: "A page of batches."},
        record(batches=many(ref("BatchWithImages")), next=NEXT),
        parameters=(
            SESSION_IN_PATH,
            limit(DEFAULT_LIMIT, MAX_LIMIT, "batches"),
            Parameter(
                "after",
                "Begins after this batch, given as epoch-batch; not beside a time.",
                text(pattern="^[0-9]+-[0-9]+$"),
            ),
            Parameter(
                "from", "Came no earlier, in milliseconds since 1970.", whole(maximum=LATEST_MS)
            ),
            Parameter("to", "Came no later, in milliseconds since 1970.", whole(maximum=LATEST_MS)),
            ATTEMPT,
        ),
        errors=(400, 404, 429),
    ),
    get_batch: Operation(
        "Images",
        "Get what is known of a batch: its numbers, its images, or why there are none",
        {200: "The batch."},
        ref("Batch"),
        parameters=(SESSION_IN_PATH, *BATCH_IN_PATH, ATTEMPT),
        errors=(400, 404, 429),
    ),
}
