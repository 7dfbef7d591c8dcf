"""The sink that keeps the images of batches."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from bridge.errors import StorageError
from bridge.model import Batch, Ended, Epoch, Event, Forgotten, ImageResult, Registered
from bridge.sessions import Session
from bridge.sinks.images.offer import Offer, Tally
from bridge.sinks.images.reader import ImageReader
from bridge.sinks.images.recovery import recover
from bridge.sinks.images.room import SpoolRoom
from bridge.sinks.images.sampler import Keep, Sampler, Verdict
from bridge.sinks.images.spool import Spool
from bridge.sinks.images.steps import Close, CloseAll, CloseDue, Gone, Step, Stored, Written
from bridge.sinks.images.uploader import Uploader
from bridge.storage.database import Database, Transaction
from bridge.storage.objects import ObjectStore
from bridge.telemetry import Telemetry

TICK_SECONDS = 0.1

MEMORY_LIMIT_BYTES = 64 << 20
"""Of JPEGs in memory, over all sessions: those in open windows, and those waiting for a commit."""

DRAIN_SECONDS = 10.0


class Settled(Protocol):
    """Who keeps the books of images."""

    def __call__(
        self, session_id: str, result: ImageResult, count: int, at_seconds: float, /
    ) -> None:
        """Count images that something has become of; `at_seconds` is when they were received."""


class Images:
    """Takes images in, samples them, has them committed with everything else, and brings them to the store.

    At any time received = stored + sampled_out + dropped + invalid + `pending`.
    """

    def __init__(
        self,
        folder: Path,
        store: ObjectStore,
        database: Database,
        telemetry: Telemetry,
        *,
        settled: Settled,
        keep: Keep = Keep.SAMPLE,
        batches_per_second: float = 2.0,
        spool_max_bytes: int = 10 << 30,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Spool in `folder`, on its way to `store`."""
