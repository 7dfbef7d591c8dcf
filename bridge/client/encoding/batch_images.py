"""The images of one batch as they are sent: encoded, within the size of a message, each in its place."""

from collections.abc import Callable, Iterator
from typing import Any

from bridge.client.capture.images import Pictures
from bridge.client.capture.reading import NotArrivedError, images_of
from bridge.client.capture.values import Unreadable
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.images import Jpegs, encode_images
from bridge.client.encoding.isolation import fault_from
from bridge.client.left_out import LeftOut, Reason
from bridge.wire import metrics_pb2 as wire

ROOM_BYTES = 4_096
"""The part of a message that is reserved for everything but images."""

IMAGE_BYTES = 16
"""What an image takes in a message besides its bytes."""


def fitting_jpegs(
    pictures: Pictures,
    server_config: ServerConfig,
    shortest: int | None,
    *,
    left_out: LeftOut,
    is_over: Callable[[], bool],
) -> Jpegs:
    """Return the images that can be sent, each with its place; the others are counted as left out.

    `shortest` is for how many of them there are classes; None where no classes were given.
    """
    images: list[Any] = []
    if is_over():
        left_out.add("images", Reason.CLOSED, pictures.total)
        return []
    try:
        images = images_of(pictures)
    except NotArrivedError as error:
        left_out.add("images", Reason.NOT_ARRIVED, pictures.total, error=error)
    except BaseException as error:  # noqa: BLE001 -- anything may be given
        fault = fault_from(error)
        left_out.add("images", Reason.UNREADABLE, pictures.total, error=fault)
    if shortest is not None and len(images) > shortest:
        surplus = ValueError(f"more images than the {shortest} classes given with them")
        left_out.add("images", Reason.UNREADABLE, len(images) - shortest, error=surplus)
        images = images[:shortest]
    readable = [place for place, image in enumerate(images) if type(image) is not Unreadable]
    jpegs, faults = encode_images(
        [images[place] for place in readable],
        dimension=server_config.image_dimension,
        channels_first=pictures.channels_first,
        is_over=is_over,
    )
    left_out.add("images", Reason.CLOSED, len(readable) - len(jpegs) - len(faults))
    jpegs = [(readable[place], jpeg) for place, jpeg in jpegs]
    for image in images:
        if type(image) is Unreadable:
            left_out.add("images", Reason.UNREADABLE, error=image.error)
    for _, fault in faults:
        left_out.add("images", Reason.UNREADABLE, error=fault)
    fitting = _fitting(jpegs, server_config.message_bytes - ROOM_BYTES)
    left_out.add("images", Reason.TOO_LARGE, len(jpegs) - len(fitting))
    return fitting


def placed(jpegs: Jpegs, samples: int) -> Iterator[wire.ImageData]:
    """Yield the images in their places, and in the place of each that is missing one that says so.

    There are as many as there are samples with classes, since the numbers of a message must agree.
    """
    by_place = dict(jpegs)
    count = max(samples if jpegs else 0, max(by_place, default=-1) + 1)
    for place in range(count):
        jpeg = by_place.get(place)
        yield (wire.ImageData(left_out=True) if jpeg is None else wire.ImageData(image_bytes=jpeg))


def _fitting(jpegs: Jpegs, room: int) -> Jpegs:
    """Return those of the images that fit into one message together, the first ones first."""
    fitting: Jpegs = []
    for place, jpeg in jpegs:
        if len(jpeg) + IMAGE_BYTES <= room:
            room -= len(jpeg) + IMAGE_BYTES
            fitting.append((place, jpeg))
    return fitting
