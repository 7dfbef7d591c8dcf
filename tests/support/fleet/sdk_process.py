"""Several training loops in one process, each with a session of the SDK; run as a script it is that process."""

import argparse
import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass, field

from support.fleet.interruptions import Interruptions
from support.known_run import CLASSES, KnownRun

from bridge.client import TrainingSession

CLOSE_SECONDS = float(os.environ.get("CLOSE_SECONDS", "90"))
LOOK_SECONDS = 0.1


@dataclass
class Loop:
    """One training loop, in a thread of its own."""

    run: KnownRun
    session: TrainingSession
    rate: float
    batches: int = 0
    unserved: Interruptions = field(default_factory=Interruptions)
    """Nothing that waited was acknowledged."""
    _acknowledged: int = -1

    def train(self, stopping: threading.Event) -> None:
        """Report batches at a steady rate, and the averages of each epoch."""
        began = time.monotonic()
        while not stopping.is_set():
            number = self.batches + 1
            epoch, index = self.run.place(number)
            self.session.log_batch(
                self.run.loss(number),
                epoch=epoch,
                batch=index,
                images=self.run.images(number) or None,
                predictions=(self.run.predictions(number), self.run.confidences(number)),
                ground_truth=self.run.truths(number),
            )
            self.batches = number
            if self.run.ends_epoch(number):
                self.session.log_epoch(epoch, loss=self.run.epoch_loss(epoch), accuracy=0.5)
            stopping.wait(max(0.0, began + number / self.rate - time.monotonic()))

    def look(self, now: float) -> None:
        """Note whether the bridge has acknowledged anything since the last look, where it owes something."""
        stats = self.session.stats
        is_served = stats.acknowledged != self._acknowledged or not stats.unacknowledged
        self._acknowledged = stats.acknowledged
        if is_served:
            self.unserved.end(now)
        else:
            self.unserved.begin(now, stats.refusal or "no Ack")

    def summary(self, left: int) -> dict:
        """Return what `clients.py` reads."""
        return {
            "session_id": self.run.session_id,
            "batches": self.batches,
            "epochs": self.batches // self.run.epoch_batches,
            "left": left,
            "stats": asdict(self.session.stats),
            "interruptions": self.unserved.closed(),
        }


def main() -> None:
    """Train until standard input is closed, deliver everything, and print what was sent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("sessions", nargs="+")
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--images-every", type=int, default=0)
    arguments = parser.parse_args()
    loops = [_loop(name, arguments) for name in arguments.sessions]
    stopping, watching = threading.Event(), threading.Event()
    threads = [threading.Thread(target=loop.train, args=(stopping,)) for loop in loops]
    watcher = threading.Thread(target=_watch, args=(loops, watching))
    for thread in (*threads, watcher):
        thread.start()
    sys.stdout.write("training\n")
    sys.stdout.flush()
    sys.stdin.read()
    stopping.set()
    for thread in threads:
        thread.join()
    left = _close(loops)
    watching.set()
    watcher.join()
    sys.stdout.write(json.dumps([loop.summary(left[loop.run.session_id]) for loop in loops]))


def _loop(name: str, arguments: argparse.Namespace) -> Loop:
    run = KnownRun(name, images_every=arguments.images_every)
    session = TrainingSession(
        arguments.address,
        session_id=name,
        batches_per_epoch=run.epoch_batches,
        batch_size=run.samples,
        class_names=CLASSES,
        close_seconds=CLOSE_SECONDS,
        panel=False,
    )
    return Loop(run, session, arguments.rate)


def _close(loops: list[Loop]) -> dict[str, int]:
    """End all sessions at once; return how many messages of each were not delivered."""
    left: dict[str, int] = {}

    def close(loop: Loop) -> None:
        left[loop.run.session_id] = loop.session.close()

    closing = [threading.Thread(target=close, args=(loop,)) for loop in loops]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()
    return left


def _watch(loops: list[Loop], ended: threading.Event) -> None:
    while not ended.wait(LOOK_SECONDS):
        for loop in loops:
            loop.look(time.time())


if __name__ == "__main__":
    main()
