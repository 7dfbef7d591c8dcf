"""How many streams are open: in all, from each address, and of each client."""

from collections import Counter

from bridge.admission import Caller

STREAMS_PER_CLIENT = 4
"""A client has one stream, and at times one that is not gone yet."""


class StreamCounts:
    """Counts streams, and says when there are enough."""

    def __init__(self, limit: int, limit_per_host: int) -> None:
        """Start with none."""
        self._limit = limit
        self._limit_per_host = limit_per_host
        self._count = 0
        self._by_host: Counter[str] = Counter()
        self._by_client: Counter[str] = Counter()

    def refusal(self, caller: Caller) -> tuple[str, str]:
        """Return why a caller may open no more, as the label of a series and as text; or twice ""."""
        if self._count >= self._limit:
            text = f"this bridge already serves {self._limit} streams (--max-streams)"
            return "streams", text
        if caller.host and self._by_host[caller.host] >= self._limit_per_host:
            text = f"this bridge already serves {self._limit_per_host} streams of this address"
            return "streams_per_address", f"{text} (--max-streams-per-address)"
        return "", ""

    def has_many(self, caller: Caller) -> bool:
        """Return whether a caller has more streams than one client needs."""
        return self._by_client[_client_of(caller)] > STREAMS_PER_CLIENT

    def add(self, caller: Caller) -> None:
        """Count a stream."""
        self._count += 1
        self._by_host[caller.host] += 1
        self._by_client[_client_of(caller)] += 1

    def remove(self, caller: Caller) -> None:
        """Count a stream less."""
        self._count -= 1
        for counter, key in ((self._by_host, caller.host), (self._by_client, _client_of(caller))):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]


def _client_of(caller: Caller) -> str:
    """Return what sets one client apart from others: its token, or else its connection."""
    return caller.token_hash or caller.connection
