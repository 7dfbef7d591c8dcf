"""Colours by the names that Grafana gives them, as its dark theme has them."""

import re
from collections.abc import Sequence

BACKGROUND, PANEL, BORDER, TEXT, FAINT = "#111217", "#181b1f", "#2c3036", "#ccccdc", "#8e8e99"

HUES = {
    "red": ("#FFA6B0", "#FF7383", "#F2495C", "#E02F44", "#C4162A"),
    "orange": ("#FFCB7D", "#FFB357", "#FF9830", "#FF780A", "#FA6400"),
    "yellow": ("#FFF899", "#FFEE52", "#FADE2A", "#F2CC0C", "#E0B400"),
    "green": ("#C8F2C2", "#96D98D", "#73BF69", "#56A64B", "#37872D"),
    "blue": ("#C0D8FF", "#8AB8FF", "#5794F2", "#3274D9", "#1F60C4"),
    "purple": ("#DEB6F2", "#CA95E5", "#B877D9", "#A352CC", "#8F3BB8"),
}
SHADES = ("super-light-", "light-", "", "semi-dark-", "dark-")

NAMED = {
    f"{shade}{hue}": color
    for hue, colors in HUES.items()
    for shade, color in zip(SHADES, colors, strict=True)
} | {"text": TEXT, "transparent": "transparent", "gray": "#808080", "white": "#ffffff"}

SERIES = [
    *("green", "yellow", "blue", "orange", "red", "purple"),
    *("dark-green", "dark-yellow", "dark-blue", "dark-orange", "dark-red", "dark-purple"),
    *("super-light-green", "super-light-yellow", "super-light-blue", "super-light-orange"),
]
"""One series after the other."""

SCALES = {
    "continuous-GrYlRd": ("green", "yellow", "red"),
    "continuous-RdYlGr": ("red", "yellow", "green"),
    "continuous-BlYlRd": ("dark-blue", "super-light-yellow", "dark-red"),
    "continuous-YlRd": ("super-light-yellow", "dark-red"),
    "continuous-BlPu": ("dark-blue", "light-purple"),
    "continuous-YlBl": ("super-light-yellow", "dark-blue"),
    "continuous-blues": (PANEL, "dark-blue"),
    "continuous-reds": (PANEL, "dark-red"),
    "continuous-greens": (PANEL, "dark-green"),
    "continuous-purples": (PANEL, "dark-purple"),
    "Oranges": ("#3b1f00", "#FF780A", "#FFF0D0"),
    "Spectral": ("#3288bd", "#ffffbf", "#d53e4f"),
    "Reds": ("#3b0000", "#F2495C", "#FFE0E0"),
    "Greens": ("#0b2b10", "#56A64B", "#E0FFE0"),
    "Purples": ("#22063b", "#A352CC", "#F3E0FF"),
    "YlOrRd": ("#FFF899", "#FF780A", "#C4162A"),
    "Viridis": ("#440154", "#21918c", "#fde725"),
    "Blues": ("#08306b", "#6baed6", "#f7fbff"),
    "Turbo": ("#30123b", "#1ae4b6", "#faba39", "#7a0403"),
}


def color(name: str) -> str:
    """Return a colour as CSS has it; raises ValueError for a name that Grafana does not know."""
    if name in NAMED:
        return NAMED[name]
    if re.fullmatch(r"#[0-9a-fA-F]{3,8}|rgba?\(.*\)", name):
        return name
    raise ValueError(f"Grafana has no colour {name!r}")


def of_series(place: int) -> str:
    """Return the colour of the series at a place."""
    return color(SERIES[place % len(SERIES)])


def between(names: Sequence[str], share: float) -> str:
    """Return the colour at a share, 0 to 1, of the way through several."""
    rgb = [tuple(int(color(name)[i : i + 2], 16) for i in (1, 3, 5)) for name in names]
    at = min(max(share, 0), 1) * (len(rgb) - 1)
    low = min(int(at), len(rgb) - 2)
    pairs = zip(rgb[low], rgb[low + 1], strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (at - low)):02x}" for a, b in pairs)


def at_threshold(steps: Sequence[dict], value: float | None, share: float | None = None) -> str:
    """Return the colour of the last step that a value reaches; `share`: of the range, for thresholds in percent."""
    reached = [
        step
        for step in steps
        if step["value"] is None
        or (value is not None and (value if share is None else 100 * share) >= step["value"])
    ]
    return color((reached or steps)[-1]["color"] if steps else "text")
