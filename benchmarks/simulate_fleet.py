"""Simulates a fleet: thousands of sessions over several bridges on one PostgreSQL, and what a bridge's death costs.

Each bridge is a process with everything between the admission of a message and its Ack: registry, sinks, journal,
checkpoints, group commit, fencing and takeover, against a real PostgreSQL that syncs its disk. gRPC, HTTP and images
are left out: benchmarks of one bridge have their figures. The messages are those of a recorded run.

`PYTHONPATH=tests:. python benchmarks/simulate_fleet.py`, or `make simulate-fleet`; needs PostgreSQL on this machine.
"""

import argparse
import contextlib
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from figures import MEBIBYTE, MILLISECONDS, percentile
from processes import BenchmarkError

HERE = Path(__file__).parent
RATE = 1.0
"""Messages a second of each session."""

SETTLE_SECONDS = 12.0
"""Longer than a session goes without a checkpoint: from then on all goes on as it will."""

SESSIONS = (1_000, 2_500, 5_000, 10_000)
BRIDGES = (1, 2, 4, 8)
SESSIONS_OF_BRIDGES = 4_000
"""How many sessions the curve over bridges has."""

TAKEOVER_LIMIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A fleet of one size."""

    bridges: int
    sessions: int
    updates_per_second: float
    """Acknowledged."""
    ack_p50_ms: float
    ack_p99_ms: float
    commit_p50_ms: float
    commit_p99_ms: float
    commits_per_second: float
    updates_per_commit: float
    floor_p50_ms: float
    """One row of as many bytes, committed by one connection on the same server."""
    floor_p99_ms: float
    bridge_cpu: float
    """Cores that all bridges use together."""
    postgres_cpu: float
    machine_busy: float
    """Part of all cores that was busy, with whatever else ran."""
    bridge_memory_mib: float
    """Of the largest one."""
    database_mib: float
    wal_mib_per_second: float
    taken: int
    """Sessions of a bridge that was killed, which the others took at once."""
    take_p50_ms: float
    take_p99_ms: float
    take_longest_ms: float
    all_taken_seconds: float
    ack_p99_while_taking_ms: float
    lost: int
    """Acknowledged updates that were not there any more."""


class Writer:
    """A process that is a bridge."""

    def __init__(self, url: str, number: int, rate: float) -> None:
        """Start it."""
        command = [sys.executable, str(HERE / "fleet_writer.py"), url, f"bridge-{number}"]
        self.process = subprocess.Popen(
            [*command, "--rate", str(rate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        )
        self.names: list[str] = []

    def say(self, what: object) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(what)}\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return the answer to the oldest command that has none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise BenchmarkError(f"a bridge has ended with {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def take(self, names: Sequence[str]) -> None:
        """Have the streams of some sessions come to it."""
        self.names += names
        self.say(list(names))

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait()
        for end in (self.process.stdin, self.process.stdout):
            assert end is not None
            end.close()


def main() -> int:
    """Simulate the growth curves, print a table, and write the figures."""
    options = _parser().parse_args()
    sizes = [(bridges, options.sessions_of_bridges) for bridges in options.bridges]
    sizes += [(max(options.bridges), sessions) for sessions in options.sessions]
    points: list[Point] = []
    with _postgres() as server:
        for bridges, sessions in sorted(set(sizes)):
            print(f"{sessions:,} sessions on {bridges} bridges ...", file=sys.stderr, flush=True)
            points.append(_simulated(server, bridges, sessions, options))
            print(table(points[-1:]), file=sys.stderr, flush=True)
    print(table(points))
    for line in _breaks(points):
        print(line)
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "rate": options.rate,
        "seconds": options.seconds,
    }
    options.output.write_text(
        json.dumps({**about, "points": [asdict(point) for point in points]}, indent=1) + "\n"
    )
    return 1 if any(point.lost for point in points) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Simulate a fleet on one PostgreSQL.")
    parser.add_argument(
        "--sessions",
        type=int,
        nargs="*",
        default=SESSIONS,
        help="what the most bridges are measured with",
    )
    parser.add_argument(
        "--bridges", type=int, nargs="+", default=BRIDGES, help="numbers of bridges"
    )
    parser.add_argument(
        "--sessions-of-bridges",
        type=int,
        default=SESSIONS_OF_BRIDGES,
        help="what each number of bridges is measured with",
    )
    parser.add_argument(
        "--rate", type=float, default=RATE, help="messages a second of each session"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="measured, of each size")
    parser.add_argument("--settle", type=float, default=SETTLE_SECONDS, help="seconds before that")
    parser.add_argument("--output", type=Path, default=HERE / "results-fleet.json")
    return parser


@contextlib.contextmanager
def _postgres() -> Iterator[Any]:
    """Run a PostgreSQL that syncs its disk, as the tests do."""
    support = importlib.import_module("support.postgres")
    with support.running_postgres(shared_buffers="256MB", max_connections="200") as server:
        yield server


def _simulated(server: Any, bridges: int, sessions: int, options: argparse.Namespace) -> Point:
    with server.database() as url, contextlib.ExitStack() as stack:
        writers = [Writer(url, number, options.rate) for number in range(bridges)]
        for writer in writers:
            stack.callback(writer.kill)
        for writer in writers:
            writer.answer()
        for number, writer in enumerate(writers):
            writer.take([f"run-{name:05}" for name in range(number, sessions, bridges)])
        for writer in writers:
            writer.answer()
        time.sleep(options.settle)
        reports, used, seconds = _measured(server, writers, options.seconds)
        size = server.query("SELECT pg_database_size(%s)", url.rpartition("/")[2])[0][0]
        commits = [one for report in reports for one in report["commits"]]
        acks = [one for report in reports for one in report["acks"]]
        floor = _floor(server, round(len(acks) / max(len(commits), 1)))
        taking = _taken(writers) if bridges > 1 else _nothing_taken()
        return Point(
            bridges=bridges,
            sessions=sessions,
            updates_per_second=len(acks) / seconds,
            ack_p50_ms=percentile(acks, 0.5) * MILLISECONDS,
            ack_p99_ms=percentile(acks, 0.99) * MILLISECONDS,
            commit_p50_ms=percentile(commits, 0.5) * MILLISECONDS,
            commit_p99_ms=percentile(commits, 0.99) * MILLISECONDS,
            commits_per_second=len(commits) / seconds,
            updates_per_commit=len(acks) / max(len(commits), 1),
            floor_p50_ms=percentile(floor, 0.5) * MILLISECONDS,
            floor_p99_ms=percentile(floor, 0.99) * MILLISECONDS,
            bridge_memory_mib=max(report["memory_bytes"] for report in reports) / MEBIBYTE,
            database_mib=size / MEBIBYTE,
            **used,
            **taking,
        )


def _measured(
    server: Any, writers: Sequence[Writer], seconds: float
) -> tuple[list[dict[str, Any]], dict[str, Any], float]:
    """Return the reports of all bridges over some seconds, and what the machine did meanwhile."""
    before = _reports(writers)
    processes = server._processes()
    wal, cpu = _wal_bytes(server), sum(map(_cpu_seconds, processes))
    psutil.cpu_percent()
    began = time.perf_counter()
    time.sleep(seconds)
    passed = time.perf_counter() - began
    busy = psutil.cpu_percent() / 100
    after = _reports(writers)
    spent = sum(one["cpu_seconds"] for one in after) - sum(one["cpu_seconds"] for one in before)
    used = {
        "bridge_cpu": spent / passed,
        "postgres_cpu": (sum(map(_cpu_seconds, processes)) - cpu) / passed,
        "machine_busy": busy,
        "wal_mib_per_second": (_wal_bytes(server) - wal) / passed / MEBIBYTE,
    }
    return after, used, passed


def _reports(writers: Sequence[Writer]) -> list[dict[str, Any]]:
    for writer in writers:
        writer.say("report")
    return [writer.answer() for writer in writers]


def _taken(writers: list[Writer]) -> dict[str, Any]:
    """Kill a bridge, and have its streams come to the others at the same moment, as they would."""
    dead = writers.pop(0)
    _reports(writers)
    dead.say("books")
    acknowledged = dead.answer()["acknowledged"]
    dead.kill()
    began = time.perf_counter()
    for number, writer in enumerate(writers):
        writer.take(dead.names[number :: len(writers)])
    for writer in writers:
        writer.answer()
    seconds = time.perf_counter() - began
    reports = _reports(writers)
    takes = [one for report in reports for one in report["takes"]]
    acks = [one for report in reports for one in report["acks"]]
    for writer in writers:
        writer.say("books")
    resumed = {name: at for writer in writers for name, at in writer.answer()["resumed"].items()}
    return {
        "taken": len(takes),
        "take_p50_ms": percentile(takes, 0.5) * MILLISECONDS,
        "take_p99_ms": percentile(takes, 0.99) * MILLISECONDS,
        "take_longest_ms": max(takes) * MILLISECONDS,
        "all_taken_seconds": seconds,
        "ack_p99_while_taking_ms": percentile(acks or [0.0], 0.99) * MILLISECONDS,
        "lost": sum(max(0, count - resumed[name]) for name, count in acknowledged.items()),
    }


def _nothing_taken() -> dict[str, Any]:
    nothing = dict.fromkeys(("take_p50_ms", "take_p99_ms", "take_longest_ms"), 0.0)
    return {
        "taken": 0,
        **nothing,
        "all_taken_seconds": 0.0,
        "ack_p99_while_taking_ms": 0.0,
        "lost": 0,
    }


def _floor(server: Any, updates: int) -> list[float]:
    """Return how long commits take of one row with as many bytes as a group has, by one connection that is alone."""
    psycopg = importlib.import_module("psycopg")
    payload, found = bytes(50 * max(updates, 1)), []
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS nothing (entries bytea)")
        connection.execute("CREATE TABLE IF NOT EXISTS floor (entries bytea)")
        for _ in range(100):
            began = time.perf_counter()
            connection.execute("INSERT INTO floor VALUES (%s)", (payload,))
            found.append(time.perf_counter() - began)
        connection.execute("DROP TABLE floor")
    return found


def _wal_bytes(server: Any) -> int:
    return int(server.query("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")[0][0])


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


COLUMNS = {
    "bridges": "bridges",
    "sessions": "sessions",
    "updates_per_second": "updates/s",
    "ack_p50_ms": "Ack p50 ms",
    "ack_p99_ms": "p99",
    "commit_p50_ms": "commit p50 ms",
    "commit_p99_ms": "p99",
    "floor_p50_ms": "one row p50 ms",
    "floor_p99_ms": "p99",
    "commits_per_second": "commits/s",
    "bridge_cpu": "cores bridges",
    "postgres_cpu": "PostgreSQL",
    "machine_busy": "busy",
    "bridge_memory_mib": "MiB a bridge",
    "database_mib": "database MiB",
    "wal_mib_per_second": "WAL MiB/s",
    "taken": "taken",
    "take_p50_ms": "takeover p50 ms",
    "take_p99_ms": "p99",
    "all_taken_seconds": "all s",
    "ack_p99_while_taking_ms": "Ack p99 meanwhile ms",
}


def table(points: Sequence[Point]) -> str:
    """Return the points as aligned columns."""
    rows = [list(COLUMNS.values())]
    rows += [[_number(getattr(point, name)) for name in COLUMNS] for point in points]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def _number(figure: float) -> str:
    if isinstance(figure, int) or abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.3g}"


def _breaks(points: Sequence[Point]) -> Iterator[str]:
    """Yield what the largest fleet has too little of, and what is missed."""
    for point in points:
        size = f"{point.sessions:,} sessions on {point.bridges} bridges"
        wanted = point.sessions * RATE
        if point.updates_per_second < 0.95 * wanted:
            yield f"{size}: {point.updates_per_second:,.0f} of {wanted:,.0f} updates/s are acknowledged"
        if point.machine_busy > 0.9:
            yield f"{size}: the cores of this machine are busy ({point.machine_busy:.0%})"
        if point.take_p99_ms > TAKEOVER_LIMIT_SECONDS * MILLISECONDS:
            yield f"{size}: takeover p99 is {point.take_p99_ms:,.0f} ms, over {TAKEOVER_LIMIT_SECONDS:g} s"


if __name__ == "__main__":
    sys.exit(main())
