"""How a program ends that never closes its session; each way of ending, and every launcher, in tests/integration."""

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys
atexit.register(lambda: print(*(" ".join((s.name, m)).strip() for s, m in bridge.statuses), sep="; "))
from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge
bridge = RecordingBridge()
session = TrainingSession(bridge)
session.log_batch(0.5, epoch=0, batch=0)

def give_up(code):
    raise SystemExit(code)

def main():
    return 0
"""

CAUGHT = """
for error in (SystemExit(3), ValueError("caught"), KeyboardInterrupt()):
    try:
        raise error
    except BaseException:
        pass
try:
    sys.exit(3)
except SystemExit:
    pass
"""

PRINTED = """
import traceback
try:
    1 / 0
except ZeroDivisionError as error:
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    sys.last_exc = error
    traceback.print_exc()
"""

ENDS = {
    "it comes to its end": ("", "COMPLETED"),
    "exit with nothing": ("sys.exit()", "COMPLETED"),
    "exit with False, which is 0": ("sys.exit(False)", "COMPLETED"),
    "exit with 1": ("sys.exit(1)", "FAILED SystemExit: 1"),
    "exit with a text": ("sys.exit('no data')", "FAILED SystemExit: no data"),
    "exit with an empty text, which is 1": ("sys.exit('')", "FAILED SystemExit"),
    "exit with another object": ("sys.exit([])", "FAILED SystemExit: []"),
    "exit of interactive use": ("exit(4)", "FAILED SystemExit: 4"),
    "quit of interactive use": ("quit(0)", "COMPLETED"),
    "SystemExit with a code": ("raise SystemExit(5)", "FAILED SystemExit: 5"),
    "SystemExit with a text": ("raise SystemExit('no data')", "FAILED SystemExit: no data"),
    "SystemExit": ("raise SystemExit", "COMPLETED"),
    "SystemExit(None)": ("raise SystemExit(None)", "COMPLETED"),
    "SystemExit of what main returns": ("raise SystemExit(main())", "COMPLETED"),
    "the same, from None": ("raise SystemExit(main()) from None", "COMPLETED"),
    "SystemExit with a code, from None": ("raise SystemExit(5) from None", "FAILED SystemExit: 5"),
    "SystemExit with a code, from an error": (
        "try: 1 / 0\nexcept ZeroDivisionError as error: raise SystemExit(5) from error",
        "FAILED SystemExit: 5",
    ),
    "an exception": ("raise ValueError('no')", "FAILED ValueError: no"),
    "one that was caught before": (CAUGHT, "COMPLETED"),
    "one that was caught, then another": (CAUGHT + "sys.exit(6)", "FAILED SystemExit: 6"),
    "one that a notebook has printed": (PRINTED, "COMPLETED"),
    "an exit in a hook of atexit": ("atexit.register(give_up, 7)", "COMPLETED"),
}


def last_status(code, *options):
    """Return the last status of a program that ends with this code."""
    ran = subprocess.run(
        [sys.executable, *options, "-c", PROGRAM + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.stdout.strip().split("; ")[-1]


@pytest.mark.parametrize("end", ENDS)
def test_a_session_that_nobody_closes_says_how_its_program_ended(end):
    """By what leaves the program's outermost frame, not by what was raised before."""
    code, expected = ENDS[end]

    assert last_status(code) == expected


def test_a_system_exit_raised_by_a_function_has_failed():
    """Python 3.11 keeps its code from everybody; it is not taken for a good end."""
    code = "5" if sys.version_info >= (3, 12) else "its code is not known"

    assert last_status("give_up(5)").startswith(f"FAILED SystemExit: {code}")


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise SystemExit(3)"])
def test_a_program_that_is_run_as_a_module_ends_alike(tmp_path, end):
    """`python -m` runs it inside of frames of its own."""
    (tmp_path / "program.py").write_text(PROGRAM + end)
    ran = subprocess.run(
        [sys.executable, "-m", "program"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 3
    assert ran.stdout.strip().endswith("FAILED SystemExit: 3")


def test_an_exit_that_was_imported_before_is_seen():
    """`from sys import exit` at the head of a script."""
    code = f"from sys import exit\n{PROGRAM}\nexit(8)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.stdout.strip().endswith("FAILED SystemExit: 8")
    assert ran.returncode == 8
