"""Who may show pages in a frame: the sources that a Content-Security-Policy takes for `frame-ancestors`."""

import re
from urllib.parse import urlsplit

KEYWORDS = {"self": "'self'", "none": "'none'"}
"""Shells and YAML take the quotes away, so both are accepted without them."""

NONE = KEYWORDS["none"]

SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
HOST = r"(?:\*|(?:\*\.)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)"
SOURCE = re.compile(rf"{SCHEME}:|(?:{SCHEME}://)?{HOST}(?::(?:[0-9]{{1,5}}|\*))?")
"""A scheme or a host (CSP Level 3, 2.3.1); without a path, which no ancestor would ever match."""

NETLOC = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")


def check_frame_ancestors(text: str) -> str:
    """Return the sources as a policy takes them, separated by single spaces; raises ValueError."""
    if "\n" in text or "\r" in text:
        raise ValueError("which has more than one line")
    sources = [KEYWORDS.get(source.strip("'").lower(), source) for source in text.split()]
    for source in sources:
        if source not in KEYWORDS.values() and not SOURCE.fullmatch(source):
            raise ValueError(f"in which {source!r} is not a source that browsers understand")
    if NONE in sources and len(sources) > 1:
        raise ValueError("in which 'none' excludes every other source")
    return " ".join(dict.fromkeys(sources))


def check_grafana_url(url: str) -> str:
    """Return a URL whose host can stand in a policy; raises ValueError."""
    if not NETLOC.fullmatch(urlsplit(url).netloc):
        raise ValueError("which has a host name that browsers do not understand in a policy")
    return url
