"""The demo from its first line to its summary."""

import itertools
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from tqdm import tqdm

from bridge.client import Stats, TrainingSession
from bridge.demo.bridge_process import RunningBridge, bridge_process
from bridge.demo.digits import CLASS_NAMES
from bridge.demo.lifetime import end_with_terminal
from bridge.demo.lost_rank import LostRank
from bridge.demo.mishaps import USUAL, Mishaps
from bridge.demo.summary import compare
from bridge.demo.training import BATCH_SIZE, DemoOptions, LoopCounts, Training

FAILED = 1
INTERRUPTED = 130

HIDDEN = (48, 32, 96)
LEARNING_RATES = (0.05, 0.02)
"""One run after the other has another network and another learning rate: there is something to compare."""

TERMINAL_SECONDS, FILE_SECONDS = 0.2, 30.0
"""How often progress is shown: a file would grow for as long as the demo runs."""


def run(
    *,
    exit_when_done: bool,
    epochs: int,
    grpc_address: str,
    http_address: str,
    state: str | None,
    running: RunningBridge | None = None,
    mishaps: Mishaps = USUAL,
) -> int:
    """Train small classifiers that stream to a bridge of their own; return the exit status.

    Without `exit_when_done`, one run follows the other until Ctrl-C, which is how it is meant to end: the status
    is 0. `running` is a bridge to stream to instead. Raises
    BridgeError if a bridge of its own does not start, or ends.
    """
    end_with_terminal()
    try:
        with _bridge(running, grpc_address, http_address, state) as bridge:
            _print_addresses(bridge)
            if exit_when_done:
                return _train_and_compare(bridge, DemoOptions(epochs=epochs, mishaps=mishaps))
            _train_on(bridge, epochs, mishaps)
    except KeyboardInterrupt:
        _print("\nStopped.")
    return INTERRUPTED if exit_when_done else 0


def _bridge(
    running: RunningBridge | None, grpc_address: str, http_address: str, state: str | None
) -> AbstractContextManager[RunningBridge]:
    if running:
        return nullcontext(running)
    _print("Starting a bridge ...")
    folder = Path(state).expanduser() if state else None
    return bridge_process(grpc_address, http_address, state=folder)


def _train_on(bridge: RunningBridge, epochs: int, mishaps: Mishaps) -> None:
    """Train one network after the other; the first one hangs or diverges where it is to, and never ends if it hangs."""
    for number in itertools.count():
        options = DemoOptions(
            epochs=epochs,
            seed=number,
            hidden=HIDDEN[number % len(HIDDEN)],
            learning_rate=LEARNING_RATES[number % len(LEARNING_RATES)],
            mishaps=mishaps.of_later_runs if number else mishaps,
        )
        _train(bridge, options)
        bridge.check_alive()


def _train_and_compare(bridge: RunningBridge, options: DemoOptions) -> int:
    session_id, counts, stats = _train(bridge, options)
    comparisons = compare(bridge, session_id, counts, stats)
    agrees = all(one.agrees for one in comparisons)
    _print("\nWhat was sent has arrived:" if agrees else "\nWhat was sent has NOT all arrived:")
    for one in comparisons:
        _print(str(one))
    return 0 if agrees else FAILED


def _print_addresses(bridge: RunningBridge) -> None:
    _print(
        "A small network learns to read handwritten digits. Watch it in a browser:\n\n"
        f"  all runs       {bridge.url}/\n"
        f"  for Prometheus {bridge.url}/metrics\n\n"
        "Ctrl-C ends it.\n"
    )


def _train(bridge: RunningBridge, options: DemoOptions) -> tuple[str, LoopCounts, Stats]:
    """Train one network; return its session's id, what the loop has counted, and what the SDK has."""
    hang_epoch = options.mishaps.hang_epoch
    other_rank = LostRank(hang_epoch, partial(_announce_hang, bridge)) if hang_epoch else None
    training = Training(options, other_rank)
    session = TrainingSession(
        bridge.grpc,
        model=f"digits-{options.hidden}",
        dataset="handwritten digits",
        epochs=options.epochs,
        batches_per_epoch=training.batches_per_epoch,
        batch_size=BATCH_SIZE,
        class_names=CLASS_NAMES,
        client_name="trainbridge-demo",
        token=bridge.token,
        token_file=bridge.token_file,
        ca_file=bridge.ca_file,
    )
    _print(f"{bridge.url}/sessions/{session.session_id}")
    with session:
        counts = _watched(training, session)
    return session.session_id, counts, session.stats


def _announce_hang(bridge: RunningBridge, epoch: int, batch: int) -> None:
    tqdm.write(
        f"\n\nEpoch {epoch}, batch {batch}: from here on this run hangs, as in an all-reduce that another rank does not"
        " join.\nIts process lives and its heartbeats go on, but no step comes any more:\n\n"
        "  its page          says for how long, and what the loop is busy with\n"
        f"  {bridge.url}/metrics\n"
        "                    training_last_batch_timestamp_seconds stands still\n"
        "  TrainingStalled   fires after six minutes in a Prometheus that scrapes this address, with\n"
        "                    deploy/prometheus/trainbridge.rules.yaml\n",
        file=sys.stdout,
    )
    sys.stdout.flush()


def _watched(training: Training, session: TrainingSession) -> LoopCounts:
    epochs = training.options.epochs
    seconds = TERMINAL_SECONDS if sys.stdout.isatty() else FILE_SECONDS
    total = epochs * training.batches_per_epoch
    with tqdm(total=total, unit="batch", file=sys.stdout, mininterval=seconds) as bar:

        def progress(epoch: int, loss: float) -> None:
            bar.set_description(f"epoch {epoch} of {epochs}", refresh=False)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()

        return training.run(session, progress)


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
