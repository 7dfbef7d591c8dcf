"""Says what is weak in a tokens file, though a bridge takes it."""

import math
from collections.abc import Iterator, Sequence

from bridge.access.identity import Role
from bridge.access.tokens import TokenEntry

SEPARATORS = "._-"

SOON_SECONDS = 14 * 86_400


def weaknesses(entries: Sequence[TokenEntry], now: float) -> Iterator[str]:
    """Yield a sentence for each weakness, with what to do about it."""
    for entry in entries:
        identity = entry.identity
        if identity.sessions and identity.sessions[-1] not in SEPARATORS:
            yield (
                f"the token {identity.name} also sees the sessions of others whose names begin with {identity.sessions}: end"
                f" sessions with a separator, such as {identity.sessions}."
            )
        if Role.CONTROL in identity.roles and identity.expires_at == math.inf:
            yield (
                f"the token {identity.name} may send commands, and never expires: give it an expires, and a successor in time"
            )
        if identity.expires_at <= now:
            yield f"the token {identity.name} has expired: remove its entry, or make a new one"
        elif identity.expires_at < now + SOON_SECONDS:
            days = max(1, math.floor((identity.expires_at - now) / 86_400))
            yield f"the token {identity.name} expires within {days + 1} days: hand out a successor before"
