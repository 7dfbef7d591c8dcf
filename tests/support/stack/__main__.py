"""`make stack`: a bridge, Prometheus, Alertmanager and a run that trains, until Ctrl-C."""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from support.stack.outlook import outlook
from support.stack.ports import FIXED, addresses_of
from support.stack.programs import Programs, StackError
from support.stack.stack import Options, image_store, start

from bridge.demo.lifetime import end_with_terminal

WATCH_SECONDS = 0.5
FAILED = 1

EPOCHS, SPIKE_EVERY = 800, 20
"""Of the run: about three seconds each."""

DIVERGING_EPOCH, QUICK_DIVERGING_EPOCH = 240, 20
"""Late enough for the alert to know how low the loss was: it takes no attempt of less than ten minutes, or half a minute."""


def main():
    """Run the stack; return its exit status, which is 0 after Ctrl-C."""
    arguments = parsed()
    end_with_terminal()
    try:
        with contextlib.ExitStack() as resources:
            run(arguments, resources)
    except KeyboardInterrupt:
        say("\nStopped.")
        return 0
    except StackError as error:
        sys.stderr.write(f"\n{error}\n")
        return FAILED


def run(arguments, resources):
    """Start everything, show where it is, and watch over it; raises StackError if a part ends."""
    folder = arguments.folder or Path(
        resources.enter_context(tempfile.TemporaryDirectory(prefix="trainbridge-stack-"))
    )
    folder.mkdir(parents=True, exist_ok=True)
    addresses = addresses_of(are_free=arguments.free_ports)
    options = Options(
        folder.resolve(),
        addresses,
        store=arguments.store,
        demo=demo_words(arguments),
        scrape_seconds=arguments.scrape_seconds,
        has_quick_alerts=arguments.quick_alerts,
        pauses=arguments.pause,
    )
    say("Starting")
    store = resources.enter_context(image_store(options))
    programs = resources.enter_context(Programs(options.folder / "logs"))
    start(options, store, programs, say)
    say(outlook(options, store.place))
    if arguments.addresses_file:
        write_whole(arguments.addresses_file, json.dumps(addresses.as_urls()))
    while True:
        programs.check_alive()
        time.sleep(WATCH_SECONDS)


def parsed():
    """Return the arguments."""
    parser = argparse.ArgumentParser(
        prog="make stack",
        description="Start a bridge, Prometheus, Alertmanager and a run that trains; Ctrl-C ends all of it.",
    )
    trouble = parser.add_mutually_exclusive_group()
    trouble.add_argument(
        "--hang", action="store_true", help="let the first run hang: TrainingStalled fires"
    )
    trouble.add_argument(
        "--diverge",
        action="store_true",
        help="let the loss of the first run jump and stay high: TrainingDiverging fires",
    )
    parser.add_argument(
        "--pause", action="store_true", help="let TrainingDiverging pause the run that diverges"
    )
    parser.add_argument(
        "--spike-every",
        type=int,
        default=SPIKE_EVERY,
        metavar="EPOCHS",
        help="let the loss jump in every so many epochs of about three seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--quick-alerts",
        action="store_true",
        help="alerts about a run fire after seconds, not minutes",
    )
    parser.add_argument(
        "--store",
        choices=("folder", "swift"),
        default="folder",
        help="where images go (default: %(default)s)",
    )
    parser.add_argument(
        "--free-ports",
        action="store_true",
        help=f"take free ports, not {', '.join(map(str, FIXED.values()))}",
    )
    parser.add_argument(
        "--scrape-seconds",
        type=int,
        default=5,
        metavar="N",
        help="between two scrapes (default: %(default)s)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="keep state and logs here (default: a temporary folder, which goes with it)",
    )
    parser.add_argument(
        "--addresses-file", type=Path, help="gets all addresses as JSON when everything is up"
    )
    return parser.parse_args()


def demo_words(arguments):
    """Return how the run is to train: long enough for an alert that takes minutes."""
    words = ["--epochs", str(EPOCHS), "--spike-every", str(arguments.spike_every)]
    if arguments.hang:
        words.append("--hang")
    if arguments.diverge:
        epoch = QUICK_DIVERGING_EPOCH if arguments.quick_alerts else DIVERGING_EPOCH
        words += ["--diverge", str(epoch)]
    return words


def write_whole(path, text):
    """Write a file in one step, so that nobody reads half of it."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(text)
    unfinished.replace(path)


def say(text):
    """Show progress at once, also where the output is a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
