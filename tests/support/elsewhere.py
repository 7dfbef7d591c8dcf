"""A store that other bridges write to, and what reads it for the pages of one that has none of that."""

from contextlib import asynccontextmanager

from support.clocks import Hands
from support.stores import MemoryStore

from bridge.sinks.images import ImageReader
from bridge.sinks.images.elsewhere import StoreIndex
from bridge.sinks.images.elsewhere.store_index import StoreIndexLimits
from bridge.storage.index_cache import IndexCache
from bridge.telemetry import Telemetry


class Elsewhere:
    """A store with shards of other bridges, and the index that reads it."""

    def __init__(self, folder, **limits):
        """Start with an empty store."""
        self.store = MemoryStore()
        self.clock = Hands()
        self.own = {}
        """By session, the keys that this bridge has indexed."""
        self.deletions = []
        self.is_shared = False
        """Whether other bridges index what they store in the same place."""
        self.telemetry = Telemetry()
        self.cache = IndexCache(folder / "store-index.db")
        self.reader = ImageReader(lambda key: folder / "spool" / key, self.store)
        self.index = StoreIndex(
            self.store,
            self.cache,
            self.telemetry,
            own_keys=lambda name: self.own.get(name, ()),
            deletions=lambda: self.deletions,
            is_shared=lambda: self.is_shared,
            limits=StoreIndexLimits(**limits),
            clock=self.clock,
        )

    def asked(self, what):
        """Return how often the store was asked for something."""
        return sum(1 for kind, _ in self.store.requests if kind == what)

    def dropped(self, what, reason):
        """Return what the bridge says it has dropped."""
        labels = {"what": what, "reason": reason}
        return self.telemetry.registry.get_sample_value("bridge_dropped_total", labels)


@asynccontextmanager
async def elsewhere_in(folder, **limits):
    """Yield a store and its index, which ends with the block."""
    elsewhere = Elsewhere(folder, **limits)
    async with elsewhere.index.running():
        yield elsewhere
