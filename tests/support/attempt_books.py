"""Check that of each attempt of a session all is kept that was sent of it: batches, epochs, numbers by split, phases, images."""

from contextlib import closing
from pathlib import Path

from support.bridges import RunningBridge
from support.checks import Sent
from support.known_run import SCALAR, SPLITS

from bridge.sinks.journal import Archive
from bridge.storage.index import ImageIndex
from bridge.storage.sqlite.database import SqliteDatabase


def check_reports(bridge: RunningBridge, sent: Sent, *, attempts: int = 1) -> None:
    """The series of a session that is over have the newest number of each split, and the seconds of each phase.

    These go on over the attempts, which all sent the same.
    """
    run, name = sent.run, sent.run.session_id
    last = max(filter(run.has_reports, sent.numbers))
    for split in SPLITS:
        newest = bridge.total("training_metric", session_id=name, name=SCALAR, split=split)
        assert newest == run.scalar(last, split), (name, split)
    for phase, seconds in run.phase_seconds(last).items():
        found = bridge.total("training_phase_seconds_total", session_id=name, phase=phase)
        assert found == attempts * seconds, (name, phase, found)


def attempts_in(state: Path, session_id: str) -> list[int]:
    """Return which attempts of a session a bridge that has stopped leaves behind."""
    with closing(SqliteDatabase(state / "trainbridge.db")) as database:
        return [entry.attempt for entry in Archive(database).attempts(session_id)]


def check_attempt(
    state: Path, sent: Sent, attempt: int | None = None, *, keeps_all: bool = False
) -> None:
    """A bridge that has stopped leaves behind all of an attempt, each of it once; by default of the newest."""
    run, numbers = sent.run, sent.numbers
    with closing(SqliteDatabase(state / "trainbridge.db")) as database:
        kept = Archive(database).find(run.session_id, attempt)
        assert kept is not None, (run.session_id, attempt)
        batches = ImageIndex(database).page(
            run.session_id, limit=len(numbers) + 1, attempt=kept.attempt
        )
    assert kept.batches == len(numbers)
    assert [epoch.number for epoch in kept.epochs] == list(sent.epochs)
    assert sum(part.count for part in kept.losses.bins) == len(numbers)
    _check_reports_of(kept, sent)
    if keeps_all:
        assert sum(batch.images for batch in batches) == sent.images
        pictured = [number for number in numbers if run.images(number)]
        assert [run.number(batch.epoch, batch.batch) for batch in batches] == pictured


def _check_reports_of(kept, sent: Sent) -> None:
    run = sent.run
    reported = [number for number in sent.numbers if run.has_reports(number)]
    if not reported:
        return
    for split in SPLITS:
        values = [run.scalar(number, split) for number in reported]
        points = kept.scalars.curves[SCALAR, split].points
        assert sum(point.finite for point in points) == len(values), split
        assert sum(point.total for point in points) == sum(values), split
        assert min(point.low for point in points) == min(values), split
        assert max(point.high for point in points) == max(values), split
        assert kept.scalars.newest[SCALAR, split] == values[-1], split
    seconds = kept.phases.seconds
    by_bridge = {name: value for name, value in seconds.items() if name == "startup"}
    assert seconds == run.phase_seconds(reported[-1]) | by_bridge
