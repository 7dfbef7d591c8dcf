"""The demo from its first line to its summary."""

import signal
import sys
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from bridge.client import TrainingSession
from bridge.demo.bridge_process import RunningBridge, bridge_process
from bridge.demo.digits import CLASS_NAMES
from bridge.demo.summary import compare
from bridge.demo.training import BATCH_SIZE, DemoOptions, LoopCounts, Training

FAILED = 1


def run(
    *,
    exit_when_done: bool,
    epochs: int,
    grpc_address: str,
    http_address: str,
    state: str | None,
) -> int:
    """Train a small classifier that streams to a bridge of its own; return the exit status.

    Raises BridgeError if the bridge does not start.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    training = Training(DemoOptions(epochs=epochs))
    folder = Path(state).expanduser() if state else None
    try:
        with bridge_process(
            grpc_address=grpc_address, http_address=http_address, state=folder
        ) as bridge:
            return _train_and_compare(bridge, training, stays=not exit_when_done)
    except KeyboardInterrupt:
        _print("\nStopped.")
        return 0 if not exit_when_done else FAILED


def _train_and_compare(bridge: RunningBridge, training: Training, *, stays: bool) -> int:
    session = TrainingSession(
        bridge.grpc,
        model="digits",
        dataset="handwritten digits",
        epochs=training.options.epochs,
        batches_per_epoch=training.batches_per_epoch,
        batch_size=BATCH_SIZE,
        class_names=CLASS_NAMES,
        client_name="trainbridge-demo",
    )
    _print_addresses(bridge, session.session_id)
    with session:
        counts = _train(session, training)
    comparisons = compare(bridge, session.session_id, counts, session.stats)
    agrees = all(one.agrees for one in comparisons)
    _print("\nWhat was sent has arrived:" if agrees else "\nWhat was sent has NOT all arrived:")
    for one in comparisons:
        _print(str(one))
    if stays:
        _print(f"\nStill serving at {bridge.url}/ - Ctrl-C ends it.")
        bridge.process.wait()
    return 0 if agrees else FAILED


def _print_addresses(bridge: RunningBridge, session_id: str) -> None:
    _print(
        "A small network learns to read handwritten digits. Watch it:\n\n"
        f"  all sessions   {bridge.url}/\n"
        f"  this one       {bridge.url}/sessions/{session_id}\n"
        f"  for Prometheus {bridge.url}/metrics\n"
    )


def _train(session: TrainingSession, training: Training) -> LoopCounts:
    total = training.options.epochs * training.batches_per_epoch
    with tqdm(total=total, unit="batch", file=sys.stdout, mininterval=0.2) as bar:

        def progress(epoch: int, loss: float) -> None:
            bar.set_description(f"epoch {epoch} of {training.options.epochs}", refresh=False)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()

        return training.run(session, progress)


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
