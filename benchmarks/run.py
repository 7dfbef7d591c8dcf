"""Runs every benchmark in a process of its own, prints one table and writes results.json."""

import argparse
import contextlib
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from row import Row
from table import table

HERE = Path(__file__).parent
PREFIX = "bench_"
LIMIT_SECONDS = 900
QUICK_LIMIT_SECONDS = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; 1 where a benchmark failed, whatever the speeds are."""
    options = _parser().parse_args(arguments)
    if options.module:
        _measure(options.folder, options.module, quick=options.quick, into=options.into)
        return 0

    modules = _chosen(options.folder, options.only)
    if not modules:
        known = ", ".join(_modules(options.folder)) or "none"
        print(f"no benchmark is called {options.only!r}; there are: {known}", file=sys.stderr)
        return 1

    rows: list[Row] = []
    failed: list[str] = []
    for module in modules:
        print(f"{module} ...", file=sys.stderr, flush=True)
        limit = options.limit or (QUICK_LIMIT_SECONDS if options.quick else LIMIT_SECONDS)
        found = _in_own_process(module, options.folder, limit, quick=options.quick)
        rows += found or []
        failed += [] if found is not None else [module]

    print(table(rows))
    _write(options.output, rows, failed, quick=options.quick)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="short runs: right results, rough figures"
    )
    parser.add_argument("--only", metavar="NAME", default="", help="run bench_NAME.py only")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the bench_*.py are")
    parser.add_argument(
        "--output", type=Path, default=HERE / "results.json", help="the results, as JSON"
    )
    parser.add_argument(
        "--limit", type=float, metavar="SECONDS", help="how long one benchmark may take"
    )
    parser.add_argument("--module", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    return parser


def _modules(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob(f"{PREFIX}*.py"))


def _chosen(folder: Path, only: str) -> list[str]:
    wanted = PREFIX + only.removeprefix(PREFIX)
    return [module for module in _modules(folder) if not only or module == wanted]


def _in_own_process(
    module: str, folder: Path, limit_seconds: float, *, quick: bool
) -> list[Row] | None:
    """Return the module's rows, or None where it failed or took too long; what it says goes to stderr."""
    with tempfile.TemporaryDirectory() as temporary:
        into = Path(temporary) / "rows.json"
        command = [
            sys.executable,
            __file__,
            "--folder",
            str(folder),
            "--module",
            module,
            "--into",
            str(into),
        ]
        status = _ran(command + ["--quick"] * quick, limit_seconds)
        if status:
            print(f"{module}: {status}", file=sys.stderr)
            return None
        return [Row.read(plain) for plain in json.loads(into.read_text())]


def _ran(command: Sequence[str], limit_seconds: float) -> str:
    """Run a command, its output to stderr; return what went wrong, or "". Nothing it started is left."""
    process = subprocess.Popen(command, stdout=sys.stderr, start_new_session=True)
    try:
        status = process.wait(limit_seconds)
    except subprocess.TimeoutExpired:
        return f"not done within {limit_seconds:g} s"
    else:
        return f"ended with {status}" if status else ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _measure(folder: Path, module: str, *, quick: bool, into: Path) -> None:
    """Import one benchmark and write its rows; runs in the process of its own."""
    sys.path[:0] = [str(folder), str(HERE)]
    rows = importlib.import_module(module).rows(quick)
    into.write_text(json.dumps([row.plain() for row in rows]))


def _write(output: Path, rows: list[Row], failed: list[str], *, quick: bool) -> None:
    machine = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    results = {
        "quick": quick,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "failed": failed,
        "rows": [row.plain() for row in rows],
    }
    output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
