"""Somebody who was let in, and what that somebody may do and see."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.errors import PermissionDeniedError


class Role(StrEnum):
    """What an identity may do."""

    INGEST = "ingest"
    """Register sessions and stream them."""
    VIEW = "view"
    """Read pages, images and the API."""
    CONTROL = "control"
    """Send commands, and delete sessions; who may do that may view, too."""
    METRICS = "metrics"
    """Read /metrics."""


INCLUDED = {Role.CONTROL: frozenset({Role.VIEW})}
"""What a role allows besides itself."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whose credentials were checked, or anybody where a door asks for none."""

    name: str
    """For logs and histories; "": anybody."""
    roles: frozenset[Role]
    """With those that they include."""
    sessions: str = ""
    """What the names of its sessions begin with; "": it may see every session."""
    expires_at: float = math.inf
    """Until when it is good, in seconds since 1970."""
    renew_at: float = math.inf
    """From when on a stream that came in with it is asked to come in anew, before it is no longer good."""
    key: str = field(default="", repr=False)
    """Of the very credentials: another one under the same name is another identity."""

    def may(self, role: Role) -> bool:
        """Return whether it has a role."""
        return role in self.roles

    def owns(self, session_id: str) -> bool:
        """Return whether a session is one of its own."""
        return session_id.startswith(self.sessions)


ANYONE = Identity("", frozenset(Role))
"""Whoever comes to a door that asks for nothing."""


def with_included(roles: Iterable[Role]) -> frozenset[Role]:
    """Return roles with those that they include."""
    given = frozenset(roles)
    return given.union(*(INCLUDED.get(role, frozenset()) for role in given))


def check_role(identity: Identity, role: Role, what: str) -> None:
    """Raise PermissionDeniedError where somebody lacks a role; `what` it is for follows on "may not"."""
    if not identity.may(role):
        raise PermissionDeniedError(
            f"{identity.name} may not {what}, since its roles are {', '.join(sorted(identity.roles))}: ask the operator"
            f" of this bridge for the role {role}"
        )
