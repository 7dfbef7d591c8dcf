"""What it costs to have updates on disk before they are acknowledged."""

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from figures import MICROSECONDS, MILLISECONDS, percentile
from journals import Desk, desk
from processes import BenchmarkError
from row import Row

LIMIT_MICROSECONDS = 4.0
PER_SECOND = 10_000
COMMITS_PER_SECOND = 40
GROUP = PER_SECOND // COMMITS_PER_SECOND
SESSIONS = 50
ROW_BYTES = 50
"""About what an update takes in the journal."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What groups of updates cost."""

    microseconds: float
    """CPU time of the whole process for an update."""
    commit_seconds: list[float]


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Measure the journal by itself: the rest of a message's way has rows of its own."""
    seconds = 1 if quick else 10
    with tempfile.TemporaryDirectory(prefix="trainbridge-benchmark-") as name:
        folder = Path(name)
        journal = _journal(folder / "journal", seconds)
        plain, floor = _plain_rows(folder / "rows", seconds), _synced_file(folder / "file", seconds)
    yield Row(
        name="journal, CPU an update",
        regime=f"{PER_SECOND:,}/s of {SESSIONS} sessions, {GROUP} a commit, fsync",
        figure=journal.microseconds,
        unit="us",
        target=f"<= {LIMIT_MICROSECONDS:g} us",
        met=journal.microseconds <= LIMIT_MICROSECONDS,
        floor=("write and fsync of a file", floor.microseconds),
        peers={"SQLite, a row an update": plain.microseconds},
    )
    for share in (0.5, 0.99):
        yield Row(
            name=f"journal, one commit, p{share * 100:g}",
            regime=f"{PER_SECOND:,}/s of {SESSIONS} sessions, {GROUP} a commit, fsync",
            figure=percentile(journal.commit_seconds, share) * MILLISECONDS,
            unit="ms",
            floor=(
                "write and fsync of a file",
                percentile(floor.commit_seconds, share) * MILLISECONDS,
            ),
            peers={
                "SQLite, a row an update": percentile(plain.commit_seconds, share) * MILLISECONDS
            },
        )


def _journal(folder: Path, seconds: int) -> Spent:
    with desk(folder, SESSIONS) as found:
        spent = _paced(seconds, lambda number: _group(found, number))
        committed = sum(session.committed for session in found.sessions)
    if committed != seconds * PER_SECOND:
        raise BenchmarkError(f"{seconds * PER_SECOND} updates were given, {committed} are on disk")
    return spent


def _group(found: Desk, number: int) -> Callable[[], None]:
    found.consume(GROUP, number * GROUP)
    return found.commit


def _plain_rows(folder: Path, seconds: int) -> Spent:
    """Write each update as a row of plain columns."""
    folder.mkdir()
    database = sqlite3.connect(folder / "rows.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE updates (session, sequence, received, epoch, batch, loss)")

    def group(number: int) -> Callable[[], None]:
        updates = [
            (f"run-{place % SESSIONS}", place, 1.8e9, 0, place, place / 1024)
            for place in range(number * GROUP, (number + 1) * GROUP)
        ]

        def commit() -> None:
            database.execute("BEGIN")
            database.executemany("INSERT INTO updates VALUES (?, ?, ?, ?, ?, ?)", updates)
            database.execute("COMMIT")

        return commit

    try:
        return _paced(seconds, group)
    finally:
        database.close()


def _synced_file(path: Path, seconds: int) -> Spent:
    """Append as many bytes to a file, and have them on disk."""
    block = bytes(GROUP * ROW_BYTES)
    with path.open("ab", buffering=0) as file:

        def commit() -> None:
            file.write(block)
            os.fdatasync(file.fileno())

        return _paced(seconds, lambda _number: commit)


def _paced(seconds: int, group: Callable[[int], Callable[[], None]]) -> Spent:
    """Make a group and commit it, so many times a second."""
    count = seconds * COMMITS_PER_SECOND
    commits = []
    cpu_before, started = time.process_time(), time.perf_counter()
    for number in range(count):
        commit = group(number)
        before = time.perf_counter()
        commit()
        commits.append(time.perf_counter() - before)
        time.sleep(max(0.0, started + (number + 1) / COMMITS_PER_SECOND - time.perf_counter()))
    cpu_seconds = time.process_time() - cpu_before
    return Spent(cpu_seconds / (count * GROUP) * MICROSECONDS, commits)
