"""Which annotations a request asks for: of which sessions, of which kinds, and from when until when."""

from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.protocol import SESSION_ID
from bridge.web.annotations.annotation import Annotation, Kind
from bridge.web.request_params import parse_whole, whole_param

SESSIONS_LIMIT = 20
DEFAULT_LIMIT, MAX_LIMIT = 500, 2_000
MAX_SKIP = MAX_LIMIT * 10
LATEST_MS = 10**15

EVERYTHING = frozenset({"", "All", "$__all", ".+", ".*"})
"""What a dashboard puts in the place of a variable that selects everything."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for."""

    sessions: tuple[str, ...]
    """Empty: those that run."""
    kinds: frozenset[Kind]
    from_ms: int
    to_ms: int
    skip: int
    """How many of those at `to_ms` an earlier page has had."""
    limit: int

    def includes(self, annotation: Annotation) -> bool:
        """Return whether an annotation is of a kind and a time that is asked for; a while may have begun earlier."""
        if annotation.kind not in self.kinds or annotation.time_ms > self.to_ms:
            return False
        until = annotation.at if annotation.until is None else annotation.until
        goes_on = annotation.until is None and annotation.tags[:1] == ("firing",)
        return goes_on or round(until * 1000) >= self.from_ms

    def page(self, annotations: Iterable[Annotation]) -> tuple[list[Annotation], int | None]:
        """Return the newest annotations first, and what `skip` is of the next page; None: there is none.

        The next page begins at the time of the last one here, which becomes its `to`.
        """
        found = sorted(filter(self.includes, annotations), key=_newest_first)
        rest = found[self.skip :]
        page = rest[: self.limit]
        if len(rest) <= self.limit:
            return page, None
        last_ms = page[-1].time_ms
        return page, sum(one.time_ms == last_ms for one in found[: self.skip + self.limit])


def _newest_first(annotation: Annotation) -> tuple[int, str, str, str]:
    return -annotation.time_ms, annotation.session_id, annotation.kind, annotation.title


def asked_annotations(request: web.Request) -> Asked:
    """Return what a request asks for; raises InvalidDataError that says what may be given."""
    return Asked(
        _sessions(request),
        _kinds(request),
        _moment(request, "from", 0),
        _moment(request, "to", LATEST_MS),
        whole_param(request, "skip", 0, highest=MAX_SKIP),
        whole_param(request, "limit", DEFAULT_LIMIT, lowest=1, highest=MAX_LIMIT),
    )


def _words(request: web.Request, name: str) -> list[str]:
    """Return the values of a parameter that is repeated, or holds several with commas between them."""
    texts = [text.strip("{}").split(",") for text in request.query.getall(name, [])]
    words = [word.strip() for text in texts for word in text]
    is_everything = any(word in EVERYTHING or word.startswith("$") for word in words)
    return [] if is_everything else list(dict.fromkeys(words))


def _sessions(request: web.Request) -> tuple[str, ...]:
    names = _words(request, "session")
    for name in names:
        if not SESSION_ID.fullmatch(name):
            raise InvalidDataError(
                "session must be the id of a session; commas stand between several"
            )
    if len(names) > SESSIONS_LIMIT:
        raise InvalidDataError(f"session must name at most {SESSIONS_LIMIT} sessions at once")
    return tuple(names)


def _kinds(request: web.Request) -> frozenset[Kind]:
    names = _words(request, "kind")
    if not set(names) <= set(Kind):
        raise InvalidDataError(f"kind must be of {', '.join(Kind)}; commas stand between several")
    return frozenset(map(Kind, names or Kind))


def _moment(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "").strip()
    if not text or text.startswith("$"):
        return default
    value = parse_whole(text, highest=LATEST_MS)
    if value is None:
        raise InvalidDataError(f"{name} must be a time in milliseconds since 1970")
    return value
