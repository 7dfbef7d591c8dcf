"""The images of a batch, with what the model saw in them."""

from typing import Annotated, Any, Literal
from urllib.parse import quote

from mcp.server.mcpserver import Image
from pydantic import Field

from bridge.client.query import BridgeClient, ProblemError
from bridge.client.query_types import ListedImage, from_json
from bridge.mcp.plain import plain

MOST_IMAGES = 16
MOST_BYTES = 1 << 20
"""Of all images of one answer together."""


class Pictures:
    """Reads the images of one bridge."""

    def __init__(self, client: BridgeClient) -> None:
        """Read through this client."""
        self._client = client

    def batch_images(
        self,
        session_id: Annotated[str, Field(description="The id of a session.")],
        epoch: Annotated[int, Field(ge=0)],
        batch: Annotated[
            int, Field(ge=0, description="In a run without epochs: epoch 0, and the step.")
        ],
        images: Annotated[
            int, Field(ge=0, le=MOST_IMAGES, description="How many are shown; 0: numbers only.")
        ] = 4,
        first: Annotated[
            Literal["wrong", "all"],
            Field(description='"wrong": those whose prediction is wrong come before the others.'),
        ] = "wrong",
    ) -> list[Any]:
        """Return what is on record of one batch, and some of its images as JPEGs.

        `images` has for each stored image the predicted and the true class and the confidence (0..1), null where
        not reported; `is_wrong` is true where the prediction is known to be wrong. The pictures follow in the
        order of `shown`. Bridges keep images of some batches only: where there are none,
        images_missing_because says why, and previous_with_images and next_with_images name the nearest batches
        that have some. At most 1 MiB of pictures is returned.
        """
        path = f"/api/v1/sessions/{quote(session_id, safe='')}/batches/{epoch}-{batch}"
        record = self._client.get_json(path)
        stored = [from_json(ListedImage, each) for each in record["images"]]
        ranked = (
            sorted(stored, key=lambda image: not image.is_wrong) if first == "wrong" else stored
        )
        pictures, notes = self._pictures(session_id, record, ranked[:images])
        answer = plain(record) | {
            "images": plain(stored),
            "shown": [position for position, _ in pictures],
            "not_shown": notes,
            "previous_with_images": _place(record["previous_with_images"]),
            "next_with_images": _place(record["next_with_images"]),
        }
        return [answer, *(Image(data=jpeg, format="jpeg") for _, jpeg in pictures)]

    def _pictures(
        self, session_id: str, record: dict[str, Any], wanted: list[ListedImage]
    ) -> tuple[list[tuple[int, bytes]], list[str]]:
        """Return as many of the pictures as fit, by position, and why others are not among them."""
        found: list[tuple[int, bytes]] = []
        notes = []
        room = MOST_BYTES
        for image in wanted:
            try:
                jpeg = self._client.image(
                    session_id,
                    record["epoch"],
                    record["batch"],
                    image.position,
                    attempt=record["attempt"],
                )
            except ProblemError as problem:
                notes.append(f"image {image.position}: {problem}")
                continue
            if len(jpeg) > room:
                notes.append(f"image {image.position}: {len(jpeg)} bytes are beyond 1 MiB in all")
                continue
            room -= len(jpeg)
            found.append((image.position, jpeg))
        return found, notes


def _place(url: str | None) -> str | None:
    """Return the batch in the address of one, as <epoch>-<batch>."""
    return url and url.partition("?")[0].rpartition("/")[2]
