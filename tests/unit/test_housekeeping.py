"""What has to be done every second."""

from support.waiting import until

from bridge.commands import Commands
from bridge.committer import Committer
from bridge.housekeeping import housekeeping
from bridge.model import Client, Config
from bridge.pipeline import Pipeline
from bridge.sessions import Sessions
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry


async def test_time_goes_on_without_messages(tmp_path):
    """Silent sessions are lost and expire, and the gauges say so, though nothing arrives."""
    telemetry = Telemetry()
    database = SqliteDatabase(tmp_path / "bridge.db")
    sessions = Sessions(heartbeat_seconds=0.1, lost_seconds=0.3, linger_seconds=1.5)
    pipeline = Pipeline(
        sessions=sessions,
        commands=Commands(),
        sinks=[],
        committer=Committer([], database, telemetry),
        telemetry=telemetry,
    )
    pipeline.register("run", Client(), Config())

    def count(stage: str) -> float | None:
        return telemetry.registry.get_sample_value("bridge_sessions", {"state": stage})

    async with housekeeping(pipeline, sessions, database, telemetry):
        await until(lambda: count("lost") == 1)
        await until(lambda: count("lost") == 0)

    assert len(sessions) == 0
    assert telemetry.registry.get_sample_value("bridge_journal_bytes") > 0
    assert telemetry.registry.get_sample_value("bridge_sessions_limit") == sessions.limit
    database.close()
