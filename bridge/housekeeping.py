"""What has to be done every second, whether anything arrives or not."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge.background import running_beside
from bridge.pipeline import Pipeline
from bridge.sessions import Sessions
from bridge.storage.database import Database
from bridge.telemetry import Telemetry

PERIOD_SECONDS = 0.25
PERIODS_PER_ROUND = 4
LAGS_KEPT = 60
"""The gauge shows the longest delay of the last 15 s, so that no scrape misses one."""


@asynccontextmanager
async def housekeeping(
    pipeline: Pipeline, sessions: Sessions, database: Database, telemetry: Telemetry
) -> AsyncIterator[None]:
    """Expire sessions, and refresh the bridge's own gauges, until the block is left."""
    async with running_beside(_run(pipeline, sessions, database, telemetry), name="housekeeping"):
        yield


async def _run(
    pipeline: Pipeline, sessions: Sessions, database: Database, telemetry: Telemetry
) -> None:
    lags: deque[float] = deque(maxlen=LAGS_KEPT)
    while True:
        for _ in range(PERIODS_PER_ROUND):
            started = time.monotonic()
            await asyncio.sleep(PERIOD_SECONDS)
            lags.append(max(0.0, time.monotonic() - started - PERIOD_SECONDS))
            telemetry.loop_lag_measured(max(lags))
        try:
            pipeline.expire_sessions()
            _set_gauges(sessions, database, telemetry)
        except Exception as error:  # noqa: BLE001 -- one bad round must not stop the next
            telemetry.unexpected_error("housekeeping", error)


def _set_gauges(sessions: Sessions, database: Database, telemetry: Telemetry) -> None:
    telemetry.sessions_counted(Counter(session.stage for session in sessions), sessions.limit)
    telemetry.database_measured(database.size_bytes)
