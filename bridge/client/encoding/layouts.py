"""How many pictures an array holds and which dimension is their channels, by its shape alone.

No values are read, and NumPy is not needed.
"""

CHANNELS = (1, 3, 4)
"""Grey, red-green-blue, and red-green-blue-alpha."""


def batch_layout(shape: tuple[int, ...], samples: int | None = None) -> tuple[int, bool]:
    """Return how many pictures `images=` holds, and whether it is a single picture rather than a batch.

    Accepts (N,H,W), (N,H,W,C) and (N,C,H,W), and one picture (H,W), (H,W,C) or (C,H,W). Of three
    dimensions, a last one of 1, 3 or 4 is the channels of one picture, and so is a first one, unless
    it equals the number of `samples` (labels, predictions) given with it.

    Raises ValueError with a hint what to give instead.
    """
    dimensions = len(shape)
    if dimensions == 4:
        if shape[3] in CHANNELS or shape[1] in CHANNELS or shape[0] == 0:
            return shape[0], False
        raise ValueError(f"images: {_channels_fault(shape)}")
    if dimensions and shape[0] == 0:
        return 0, False
    if 0 in shape:
        raise ValueError(f"images: shape {tuple(shape)} has no pixels")
    if dimensions == 3:
        return _three_dimensions(shape, samples)
    if dimensions == 2:
        return _two_dimensions(shape, samples)
    raise ValueError(
        f"images: shape {tuple(shape)} has {_counted(dimensions)}; give (N,H,W), (N,H,W,C) or "
        f"(N,C,H,W){', e.g. one frame of each: images[:, 0]' if dimensions > 4 else ''}"
    )


def _three_dimensions(shape: tuple[int, ...], samples: int | None) -> tuple[int, bool]:
    count, _, last = shape
    if last in CHANNELS:
        return 1, True
    is_batch = count not in CHANNELS or (samples == count and count != 1)
    return (count, False) if is_batch else (1, True)


def _two_dimensions(shape: tuple[int, ...], samples: int | None) -> tuple[int, bool]:
    if samples == shape[0] and samples > 1:
        raise ValueError(
            f"images: shape {tuple(shape)} with {samples} samples is rows of values; "
            f"give images.reshape({samples}, {_sides(shape[1])})"
        )
    return 1, True


def channel_axis(shape: tuple[int, ...], *, channels_first: bool) -> int | None:
    """Return which dimension of one picture is its channels: None for (H,W), else 0 or 2.

    `channels_first` decides where both ends could be the channels. Raises ValueError for a shape
    that is not a picture's.
    """
    if len(shape) not in (2, 3):
        hint = f"; give picture.reshape({_sides(shape[0])})" if len(shape) == 1 else ""
        raise ValueError(f"a picture has 2 or 3 dimensions, not shape {tuple(shape)}{hint}")
    if 0 in shape:
        raise ValueError(f"a picture of shape {tuple(shape)} has no pixels")
    if len(shape) == 2:
        return None
    for axis in (0, 2) if channels_first else (2, 0):
        if shape[axis] in CHANNELS:
            return axis
    raise ValueError(f"a picture of {_channels_fault(shape)}")


def has_two_ends(shape: tuple[int, ...]) -> bool:
    """Return whether both ends of one picture, or of a batch of one, could be its channels."""
    is_one = len(shape) == 3 or (len(shape) == 4 and shape[0] == 1)
    return is_one and shape[-3] in CHANNELS and shape[-1] in CHANNELS


def _channels_fault(shape: tuple[int, ...]) -> str:
    return (
        f"shape {tuple(shape)} has neither 1, 3 nor 4 channels, first or last; "
        "give those that are to be shown, e.g. the first three: [..., :3]"
    )


def _counted(dimensions: int) -> str:
    return "1 dimension" if dimensions == 1 else f"{dimensions} dimensions"


def _sides(values: int) -> str:
    """Return the sides of a picture with this number of values, where they can be guessed."""
    for channels, last in ((1, ""), (3, ", 3")):
        side = round((values / channels) ** 0.5)
        if side * side * channels == values:
            return f"{side}, {side}{last}"
    return "height, width"
