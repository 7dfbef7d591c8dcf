"""Run `trainbridge` for as long as the process that started it lives.

`python -m bridge.demo.attached FOLDER WORD ...` runs `trainbridge WORD ...`. Standard input is a pipe that
nobody writes to: it ends with the process at its other end, however that ended, also by a signal that nobody
can catch. Then this process stops in order, and removes the folder, which nobody else is left to do.
"""

import os
import runpy
import shutil
import signal
import sys
import threading


def main() -> None:
    """Run the words; exits with their status."""
    folder, *words = sys.argv[1:]
    is_alone = threading.Event()
    threading.Thread(target=_stop_when_alone, args=(is_alone,), daemon=True).start()
    sys.argv = ["trainbridge", *words]
    try:
        runpy.run_module("bridge", run_name="__main__")
    finally:
        if is_alone.is_set():
            shutil.rmtree(folder, ignore_errors=True)


def _stop_when_alone(is_alone: threading.Event) -> None:
    os.read(0, 1)
    is_alone.set()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
