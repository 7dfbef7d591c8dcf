"""The command `trainbridge` with a clock that a test sets: argv is FILE, which holds seconds to add, and what the command takes."""

import sys
import time
from pathlib import Path

if __name__ == "__main__":
    offset = Path(sys.argv[1])
    real_time, real_time_ns = time.time, time.time_ns
    time.time = lambda: real_time() + float(offset.read_text())
    time.time_ns = lambda: real_time_ns() + int(float(offset.read_text()) * 1e9)

    from bridge.cli import main

    sys.exit(main(sys.argv[2:]))
