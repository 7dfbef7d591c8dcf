"""The images of sessions that other bridges have received, as the object store has them."""

from bridge.sinks.images.elsewhere.store_index import StoreIndex, StoreIndexLimits
from bridge.sinks.images.elsewhere.stored_session import StoredSession

__all__ = ["StoreIndex", "StoreIndexLimits", "StoredSession"]
