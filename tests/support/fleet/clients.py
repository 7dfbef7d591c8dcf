"""The clients of a fleet, in processes of several sessions each, and what they say they have sent."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.fleet.interruptions import Interruption
from support.known_run import KnownRun
from support.protoc import compile_original
from support.tools import ROOT

SESSIONS_PER_PROCESS = 10
END_SECONDS = 150
SDK_PROCESS = Path(__file__).with_name("sdk_process.py")
ORIGINAL_PROCESS = ROOT / "tests" / "original" / "many.py"

CLASSES = 8
"""Of an original client: batch n has one prediction, of class n modulo this."""


@dataclass(frozen=True)
class SdkLedger:
    """What a session of the SDK has sent."""

    run: KnownRun
    batches: int
    epochs: int
    left: int
    """Messages that were not delivered."""
    stats: dict
    interruptions: list[Interruption]


@dataclass(frozen=True)
class OriginalLedger:
    """What an original client has sent, batches 1 to `sent` once each."""

    session_id: str
    sent: int
    uncertain: frozenset[int]
    """Batches whose Acks it never saw."""
    has_ended: bool
    streams: int
    interruptions: list[Interruption]
    images_every: int = 0

    @property
    def acknowledged(self) -> int:
        """How many of the batches were acknowledged."""
        return self.sent - len(self.uncertain)

    def bounds(self, residue: int | None = None) -> tuple[int, int]:
        """Return how many batches, of all or of one class, must and may be counted."""
        numbers = [n for n in range(1, self.sent + 1) if residue in (None, n % CLASSES)]
        return sum(number not in self.uncertain for number in numbers), len(numbers)

    def image_bounds(self) -> tuple[int, int]:
        """Return how many images must and may have been received."""
        if not self.images_every:
            return 0, 0
        numbers = range(self.images_every, self.sent + 1, self.images_every)
        return sum(number not in self.uncertain for number in numbers), len(numbers)


@dataclass
class Clients:
    """All clients while they train, and their ledgers once they have finished."""

    sdk_names: list[str]
    original_names: list[str]
    images_every: int
    processes: dict[str, list[subprocess.Popen]] = field(default_factory=dict)
    sdk: list[SdkLedger] = field(default_factory=list)
    original: list[OriginalLedger] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """All sessions."""
        return [*self.sdk_names, *self.original_names]

    def finish(self) -> None:
        """Have all of them deliver everything and end."""
        for process in self._all():
            process.stdin.close()
        for process in self.processes["sdk"]:
            for found in self._report(process):
                run = KnownRun(found.pop("session_id"), images_every=self.images_every)
                self.sdk.append(SdkLedger(run, **found))
        for process in self.processes["original"]:
            for found in self._report(process):
                self.original.append(
                    OriginalLedger(
                        found["session_id"],
                        found["sent"],
                        frozenset(found["uncertain"]),
                        found["has_ended"],
                        found["streams"],
                        found["interruptions"],
                        self.images_every,
                    )
                )

    def _all(self):
        return [process for group in self.processes.values() for process in group]

    def _report(self, process):
        output = process.stdout.read()
        assert process.wait(END_SECONDS) == 0, f"a client ended with {process.returncode}"
        return json.loads(output)


@contextmanager
def training_clients(
    folder: Path,
    address: str,
    *,
    sdk: int,
    original: int,
    rate: float = 10.0,
    images_every: int = 0,
    jpeg: bytes = b"",
):
    """Start so many sessions of each kind, all of which have begun when this yields."""
    folder.mkdir(parents=True, exist_ok=True)
    clients = Clients(
        [f"sdk-{number:03}" for number in range(sdk)],
        [f"original-{number:03}" for number in range(original)],
        images_every,
    )
    options = ("--rate", str(rate), "--images-every", str(images_every))
    generated = folder / "generated"
    generated.mkdir(exist_ok=True)
    compile_original(f"--python_out={generated}", f"--grpc_python_out={generated}")
    picture = folder / "original.jpg"
    picture.write_bytes(jpeg)
    ours = f"{ROOT / 'tests'}{os.pathsep}{ROOT}"
    with ExitStack() as stack:
        clients.processes["sdk"] = [
            _process(stack, folder, SDK_PROCESS, (address, *names, *options), ours)
            for names in _groups(clients.sdk_names)
        ]
        clients.processes["original"] = [
            _process(
                stack,
                folder,
                ORIGINAL_PROCESS,
                (address, *names, *options, *(("--jpeg", str(picture)) if jpeg else ())),
                str(generated),
            )
            for names in _groups(clients.original_names)
        ]
        for process in clients._all():
            assert process.stdout.readline() == "training\n", "clients cannot begin"
        yield clients


def _groups(names: Sequence[str]) -> list[Sequence[str]]:
    return [
        names[at : at + SESSIONS_PER_PROCESS] for at in range(0, len(names), SESSIONS_PER_PROCESS)
    ]


def _process(stack, folder, script, arguments, path):
    log = stack.enter_context((folder / f"{script.stem}.log").open("ab"))
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    stack.callback(_end, process)
    return process


def _end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    for end in (process.stdin, process.stdout):
        end.close()
