"""Which sessions this bridge has, among those that share its database: takes them, adopts orphans, and lets go."""

from bridge.ownership.ownership import Ownership

__all__ = ["Ownership"]
