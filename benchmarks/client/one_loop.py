"""Times one subject in a loop, in this process alone, and prints what it found as JSON.

python one_loop.py SUBJECT PAYLOAD STEPS STEPS_PER_SECOND; 0 a second is full speed.
"""

import json
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from figures import percentile
from payloads import payload_of
from subjects import Call, opened


def main() -> None:
    """Run the loop that the arguments describe."""
    subject, payload, steps, pace = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    cpu_before = 0.0
    with opened(subject, payload_of(payload), steps) as call:
        cpu_before, children_before = _cpu_seconds(), _children_cpu_seconds()
        seconds = _durations(call, steps, pace)
        children = _children_cpu_seconds() - children_before
    cpu = _cpu_seconds() - cpu_before + children
    found = {
        "p50": percentile(seconds, 0.5),
        "p99": percentile(seconds, 0.99),
        "max": max(seconds),
        "cpu": cpu,
        "steps": steps,
    }
    sys.stdout.write(json.dumps(found) + "\n")


def _durations(call: Call, steps: int, pace: float) -> list[float]:
    """Return how long each call took, in seconds."""
    clock, taken = time.perf_counter, []
    started = clock()
    for step in range(steps):
        if pace:
            time.sleep(max(0.0, started + step / pace - clock()))
        before = clock()
        call(step)
        taken.append(clock() - before)
    return taken


def _cpu_seconds() -> float:
    """Return what this process has used, with all its threads."""
    return time.process_time()


def _children_cpu_seconds() -> float:
    """Return what processes have used that the subject has started; 0 where psutil is missing."""
    try:
        import psutil
    except ImportError:
        return 0.0
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(float(each.user + each.system) for each in times)


if __name__ == "__main__":
    main()
