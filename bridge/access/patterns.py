"""Compares claims with patterns, as shells compare names of files with theirs."""

import re
from collections.abc import Mapping
from fnmatch import translate

from bridge.errors import SettingError

LONGEST_PATTERN = 512
"""Characters; the name of a service account has up to 339 with its namespace."""

MAX_ELEMENTS = 1_000
"""Of a claim that is a list: those after them are not looked at."""

NOTHING = "(?!)"
"""What brackets become that match nothing, such as [z-a]."""

Claims = Mapping[str, object]


def claim_at(claims: Claims, path: str) -> object:
    """Return the claim at a path such as `kubernetes.io.namespace`, None where there is none.

    A name may itself have dots, as `kubernetes.io` does, so a longer name is tried before what lies in a shorter one.
    """
    if path in claims:
        return claims[path]
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        inner = claims.get(".".join(parts[:length]))
        if isinstance(inner, Mapping):
            found = claim_at(inner, ".".join(parts[length:]))
            if found is not None:
                return found
    return None


def text_of(claim: object) -> str | None:
    """Return a single claim as text; None: it is a list, or has claims in it, or is none."""
    if isinstance(claim, bool):
        return str(claim).lower()
    return str(claim) if isinstance(claim, str | int) else None


def matches(claim: object, pattern: re.Pattern[str]) -> bool:
    """Return whether a claim, or any element of a list, is as a pattern says; upper and lower case differ."""
    elements = claim[:MAX_ELEMENTS] if isinstance(claim, list) else [claim]
    texts = (text_of(element) for element in elements)
    return any(text is not None and pattern.match(text) for text in texts)


def read_pattern(pattern: object, where: str) -> re.Pattern[str]:
    """Return a pattern, compiled; raises SettingError for what matches nothing, or something else than it seems to."""
    if not isinstance(pattern, str) or not pattern or len(pattern) > LONGEST_PATTERN:
        raise SettingError(
            f"{where} is not a pattern of 1 to {LONGEST_PATTERN} characters: give the text to match, in which * stands"
            " for any characters, such as team-*"
        )
    if pattern.count("[") != pattern.count("]"):
        raise SettingError(
            f"{where} is the pattern {pattern!r}, whose brackets do not close: give [abc] for one of these characters,"
            " and [[] for a bracket itself"
        )
    translated = translate(pattern)
    if NOTHING in translated:
        raise SettingError(
            f"{where} is the pattern {pattern!r}, whose brackets hold nothing: put first what comes first, such as [a-z]"
        )
    return re.compile(translated)
