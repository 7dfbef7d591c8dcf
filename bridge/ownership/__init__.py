"""Which sessions this bridge has, among those that share its database: takes them, adopts orphans, and lets go."""

from bridge.ownership.orphans import Orphans
from bridge.ownership.ownership import Ownership
from bridge.ownership.release import Releases
from bridge.ownership.taking import Taking

__all__ = ["Orphans", "Ownership", "Releases", "Taking"]
