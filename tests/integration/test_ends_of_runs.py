"""Every way in which a training process can end, and how its run is said to have ended: docs/sdk.md."""

import signal
import sys
from functools import partial
from textwrap import indent
from typing import NamedTuple

import pytest
from support.markdown import tables_under
from support.programs import run_program, running
from support.tools import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals here")

PROGRAM = """
import asyncio, atexit, ctypes, multiprocessing, os, resource, signal, sys, threading, time, warnings
from concurrent.futures import ThreadPoolExecutor
warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from bridge.client import Status, TrainingSession

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

def new():
    return TrainingSession(session_id="run", close_seconds=60)

def train(session):
    session.log_batch(0.5, epoch=0, batch=0)
    assert session.flush(60) == 0

def wait():
    print("ready", flush=True)
    time.sleep(60)

def hang():
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    print("ready", flush=True)
    for _ in range(2):
        libc.pthread_mutex_lock(mutex)

def terminate_child():
    child = os.fork()
    if not child:
        time.sleep(60)
    os.kill(child, signal.SIGTERM)
    assert os.waitpid(child, 0)[1] == signal.SIGTERM

def pass_on(handler):
    signal.signal(signal.SIGTERM, lambda *given: (handler(*given), sys.exit(143)))

def preempt(number, frame):
    raise RuntimeError("preempted")

def fail():
    raise ValueError("no data")

async def fail_later():
    fail()

def run_in_thread(target, **options):
    thread = threading.Thread(target=target, **options)
    thread.start(); thread.join()

def run_in_process(method):
    child = multiprocessing.get_context(method).Process(target=work)
    child.start(); child.join()

is_training = threading.Event()

def train_on(session):
    while True:
        train(session)
        is_training.set()

def start_daemon():
    threading.Thread(target=work, daemon=True).start()
    assert is_training.wait(60)

def work():
{work}

if __name__ == "__main__":
{main}
"""


class End(NamedTuple):
    """How a process ends."""

    body: str
    """What the code does with its session last."""
    main: str = ""
    """What the program does with the function of that code, `work`; else it is the program itself."""
    before: str = ""
    number: int = 0
    """The signal that is sent, if any."""


def exits_by(handler):
    """Return the end by a SIGTERM that has this handler."""
    return End("wait()", before=f"signal.signal(signal.SIGTERM, {handler})", number=signal.SIGTERM)


AGAIN = [sys.executable, "-c", ""]

ENDS = {
    "coming to its end": End("pass"),
    "`session.close()`": End("session.close()"),
    "an exception that passes a `finally: session.close()`": End(
        "try: fail()\nfinally: session.close()"
    ),
    "an exception whose `except` calls `session.close()`": End(
        "try: fail()\nexcept ValueError: session.close()"
    ),
    "`session.close()` behind an `except`": End(
        "try: fail()\nexcept ValueError: print('caught')\nsession.close()"
    ),
    '`log_status(Status.FAILED, "no data")`': End("session.log_status(Status.FAILED, 'no data')"),
    "closing a generator that trains": End("yield", main="for _ in work(): break"),
    '`raise ValueError("no data")`': End("fail()"),
    "an exception that is caught behind it": End(
        "fail()", main="try: work()\nexcept ValueError: print('caught')"
    ),
    "an exception that is caught within it": End("try: fail()\nexcept ValueError: print('caught')"),
    "`sys.exit()`": End("sys.exit()"),
    "`sys.exit(0)`": End("sys.exit(0)"),
    "`sys.exit(3)`": End("sys.exit(3)"),
    '`sys.exit("no data")`': End("sys.exit('no data')"),
    "`raise SystemExit(3)`": End("raise SystemExit(3)"),
    "`exit(3)`": End("exit(3)"),
    "`os._exit(3)`": End("os._exit(3)"),
    "`os.abort()`": End("os.abort()"),
    "`os.execv(...)`": End(f"os.execv(sys.executable, {AGAIN})"),
    "SIGINT": End("wait()", number=signal.SIGINT),
    "SIGTERM": End("wait()", number=signal.SIGTERM),
    "SIGTERM inside of a call that never returns": End("hang()", number=signal.SIGTERM),
    "SIGTERM of a forked child": End("terminate_child()"),
    "SIGTERM with a later handler, which calls the one before it": End(
        "pass_on(signal.getsignal(signal.SIGTERM)); wait()", number=signal.SIGTERM
    ),
    "SIGTERM with a handler that calls `sys.exit(143)`": exits_by("lambda *_: sys.exit(143)"),
    "SIGTERM with a handler that raises": exits_by("preempt"),
    "SIGTERM with a handler that closes it and calls `sys.exit(0)`": exits_by(
        "lambda *_: (session.close(), sys.exit(0))"
    ),
    "SIGHUP": End("wait()", number=signal.SIGHUP),
    "SIGKILL": End("wait()", number=signal.SIGKILL),
    "`sys.exit(3)` in another thread": End("run_in_thread(lambda: sys.exit(3))"),
    "an exception in another thread": End("run_in_thread(fail)"),
    "an exception in the thread that trains": End("fail()", main="run_in_thread(work)"),
    "its end, while a daemon thread trains": End("train_on(session)", main="start_daemon()"),
    "`sys.exit(3)`, while a daemon thread trains": End(
        "train_on(session)", main="start_daemon(); sys.exit(3)"
    ),
    "an exception in `asyncio.run`": End("asyncio.run(fail_later())"),
    "an exception, and a `sys.excepthook` of the program's own": End(
        "fail()", before="sys.excepthook = lambda *_: print('hook')"
    ),
    "its end, and an `atexit` hook that logs": End("atexit.register(train, session)"),
    "its end, and an `atexit` hook that closes it": End("atexit.register(session.close)"),
    "its end, and an `atexit` hook that raises": End("atexit.register(fail)"),
    "`sys.exit(3)`, and an `atexit` hook that closes it": End(
        "atexit.register(session.close); sys.exit(3)"
    ),
    "an exception, and a `sys.excepthook` that closes it": End(
        "sys.excepthook = lambda *_: session.close(); fail()"
    ),
    "an exception in a `ThreadPoolExecutor` that the program waits for": End(
        "with ThreadPoolExecutor(1) as pool: pool.submit(fail).result()"
    ),
    "the end of the function that made the session": End("pass", main="work()"),
    "a new session of the same name in the process": End("other = new(); train(other)"),
}

ENDS |= {
    f"{name}, in a process of `multiprocessing` by {method}": End(
        body, main=f"run_in_process('{method}')"
    )
    for method in ("fork", "spawn")
    for name, body in (
        ("returning", "pass"),
        ("`sys.exit(3)`", "sys.exit(3)"),
        ("an exception", "fail()"),
    )
}

ENDS["`terminate()` of a process of `multiprocessing`"] = End(
    "is_alive.set(); time.sleep(60)",
    before="is_alive = multiprocessing.Event()",
    main="child = multiprocessing.get_context('fork').Process(target=work)\n"
    "child.start(); is_alive.wait(); child.terminate(); child.join()",
)

ROWS = {
    row[0]: row[1:]
    for row in tables_under((ROOT / "docs" / "sdk.md").read_text())["How a run ends"]
}

KILLED = ("SIGTERM", "SIGTERM inside of a call that never returns")
"""Ends that leave the status that they have without a session."""

PLACES = ("with", "without")


def program(end, place):
    """Return the code of a program that ends so, with its session in a `with` block or without one."""
    body = f"train(session)\n{end.body}"
    session = (
        f"with new() as session:\n{indent(body, '    ')}"
        if place == "with"
        else f"session = new()\n{body}"
    )
    main = f"{end.before}\n{end.main or session}"
    return PROGRAM.replace("{work}", indent(session, "    ")).replace(
        "{main}", indent(main, "    ")
    )


@pytest.fixture(scope="module")
def ran(request, tmp_path_factory):
    """Run the programs of the tests that were asked for; return their futures."""
    folder = tmp_path_factory.mktemp("programs")
    asked = [
        (item.callspec.params["name"], item.callspec.params["place"])
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    ]
    calls = {
        (name, place): partial(
            run_program,
            folder / f"program_{list(ENDS).index(name)}_{place}.py",
            program(ENDS[name], place),
            number=ENDS[name].number,
        )
        for name, place in asked
        if name in ENDS
    }
    with running(calls) as futures:
        yield futures


def test_every_end_is_documented_and_tested():
    """A row without a case, or a case without a row, fails here."""
    assert list(ENDS) == list(ROWS)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ROWS)
def test_how_a_run_is_said_to_have_ended(ran, name, place):
    """As its row says; what was trained before has arrived in each case."""
    ended = ran[name, place].result()

    assert ended.end == ROWS[name][PLACES.index(place)], str(ended)
    if name in KILLED:
        assert ended.status == -signal.SIGTERM
    assert ended.bridge.batches()[:1] == [(0, 0)]
