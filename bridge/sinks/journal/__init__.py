"""Everything accepted, on disk before it is acknowledged, and applied again after a kill."""

from bridge.sinks.journal.archive import Archive
from bridge.sinks.journal.journal import Journal
from bridge.sinks.journal.replay import replay

__all__ = ["Archive", "Journal", "replay"]
