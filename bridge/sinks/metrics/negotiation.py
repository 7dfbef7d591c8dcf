"""Negotiates the exposition format of a request from its Accept header."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"

VERSIONS = {
    TEXT: {"": "0.0.4", "0.0.4": "0.0.4", "1.0.0": "0.0.4"},
    OPENMETRICS: {"": "1.0.0", "0.0.1": "0.0.1", "1.0.0": "1.0.0"},
}
"""Versions served, by the version requested; text 1.0.0 only adds names that no series here has."""

ANYTHING = ("*/*", "text/*")

ESCAPINGS = ("allow-utf-8", "underscores", "dots", "values")
"""Ways to escape names that are not ASCII; all names here are, so that they make no difference."""

QUALITY = re.compile(r"0(\.[0-9]*)?|1(\.0*)?")


@dataclass(frozen=True, slots=True)
class Format:
    """The format of a page."""

    media_type: str
    version: str
    escaping: str = ""
    """Echoed if it was requested, else ""."""

    @property
    def is_openmetrics(self) -> bool:
        """Whether the page is OpenMetrics rather than the older text format."""
        return self.media_type == OPENMETRICS

    @property
    def content_type(self) -> str:
        """The Content-Type header."""
        escaping = f"; escaping={self.escaping}" if self.escaping else ""
        return f"{self.media_type}; version={self.version}; charset=utf-8{escaping}"


PLAIN = Format(TEXT, "0.0.4")
"""For a request that names no format known here."""


def negotiate_format(accept: str) -> Format:
    """Return the format with the highest quality, the first of equals; text for an invalid header."""
    offers = list(_offers(accept))
    return max(offers, key=lambda offer: offer[0])[1] if offers else PLAIN


def _offers(accept: str) -> Iterator[tuple[float, Format]]:
    for entry in accept.split(","):
        media_type, *pairs = (part.strip().lower() for part in entry.split(";"))
        parameters = {name.strip(): value.strip(' "') for name, _, value in _split(pairs)}
        quality = parameters.get("q", "1")
        if not QUALITY.fullmatch(quality) or float(quality) == 0:
            continue
        escaping = parameters.get("escaping", "")
        escaping = escaping if escaping in ESCAPINGS else ""
        if media_type in ANYTHING:
            yield float(quality), Format(TEXT, "0.0.4", escaping)
        version = VERSIONS.get(media_type, {}).get(parameters.get("version", ""))
        if version is not None:
            yield float(quality), Format(media_type, version, escaping)


def _split(pairs: list[str]) -> Iterator[tuple[str, str, str]]:
    return (pair.partition("=") for pair in pairs)
