"""Every way in which a training process can end: with the SDK it ends as without it."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import cycle
from typing import NamedTuple

import pytest
from support.fake_bridge import OURS, FakeBridge, serving
from support.ports import free_port
from support.stopped import stopped_process
from support.tools import missing

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals here")

RUNS = int(os.environ.get("TRAINBRIDGE_TEST_ENDINGS", "1"))
"""Of each ending; 200 by hand."""

AT_ONCE = 4

LONGEST_SECONDS = 20.0
"""On a machine with other work; sessions here are closed within a second or two."""

LATEST_SIGNAL_SECONDS = 0.05

NEVER = ("Fatal Python error", "terminate called", "Exception ignored", "Exception in thread train")
"""Must not stand in what a process says about its end."""

PRELUDE = """
import atexit, faulthandler, gc, os, random, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
with_sdk, address, kind = sys.argv[1] == "with", sys.argv[2], sys.argv[3]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
faulthandler.enable()  # says where it was, should it not end
import numpy
if kind == "torch":
    import torch
if with_sdk:
    from bridge.client import TrainingSession
else:
    class TrainingSession:
        stats, should_stop = None, False
        def __init__(self, *_, **__): pass
        def __enter__(self): return self
        def __exit__(self, *_): pass
        def __getattr__(self, name): return lambda *_, **__: 0
        def close(self, timeout=0): time.sleep(timeout)

pictures = numpy.random.default_rng(1).integers(0, 255, (16, 64, 64, 3), numpy.uint8)
scores = numpy.random.default_rng(1).random((16, 10), numpy.float32)
if kind == "torch":
    pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(255)
    scores, loss = torch.from_numpy(scores), torch.tensor(0.5)

def new(**options):
    return TrainingSession(address, close_seconds=1, **options)

def log(session, step):
    if kind == "float":
        session.log_batch(0.5, epoch=0, batch=step)
        return
    session.log_batch(
        loss if kind == "torch" else float(step), epoch=step // 10, batch=step, images=pictures,
        predictions=scores, ground_truth=list(range(10)) + [0] * 6,
    )
    if kind == "torch":
        session.log_scalars({"x": loss}, epoch=0, batch=step)

def train(session, steps=30):
    for step in range(steps):
        log(session, step)

def ready():
    print("ready", flush=True)

def train_on(session):
    ready()
    step = 0
    while True:
        log(session, step)
        step += 1

class Late(Exception): pass

def handler(number, frame):
    raise Late

"""


class Ending(NamedTuple):
    """How a process ends."""

    code: str
    kinds: tuple[str, ...] = ("numpy", "float")
    signals: tuple[signal.Signals, ...] = ()
    """Sent one after the other, each a short time after the process is ready, or the one before."""
    bridges: tuple[str, ...] = ("there", "absent", "frozen", "refusing")


ALL = ("numpy", "float", "torch")

FORK = """
with new() as session:
    train(session)
    for _ in range(3):
        child = os.fork()
        if child == 0:
            {child}
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        train(session)
"""

ENDINGS = {
    "returns": Ending("with new() as session: train(session)", ALL),
    "closes": Ending("session = new(); train(session); session.close(0.5); log(session, 1)", ALL),
    "says nothing": Ending("session = new(); train(session)", ALL),
    "is at once over": Ending("session = new()"),
    "raises": Ending("with new() as session: train(session); raise ValueError('no')", ALL),
    "raises outside": Ending("session = new(); train(session); raise ValueError('no')"),
    "exits with 0": Ending("with new() as session: train(session); sys.exit(0)"),
    "exits with 1": Ending("session = new(); train(session); sys.exit(1)", ALL),
    "exits with a text": Ending("with new() as session: train(session); sys.exit('no')"),
    "exits from a thread": Ending(
        "session = new(); train(session)\n"
        "thread = threading.Thread(target=lambda: (train(session), sys.exit(3)))\n"
        "thread.start(); thread.join(); print('on'); sys.exit(4)"
    ),
    "exits hard": Ending("session = new(); train(session); print('x', flush=True); os._exit(7)"),
    "kills itself": Ending("session = new(); train(session); os.kill(os.getpid(), 9)"),
    "SIGINT": Ending("with new() as session: train_on(session)", ALL, (signal.SIGINT,)),
    "SIGINT outside": Ending("session = new(); train_on(session)", ALL, (signal.SIGINT,)),
    "SIGINT caught": Ending(
        "try:\n    with new() as session: train_on(session)\n"
        "except KeyboardInterrupt: print('caught'); sys.exit(5)",
        ALL,
        (signal.SIGINT,),
    ),
    "SIGINT in close": Ending(
        "session = new(); train(session); ready(); session.close(60)",
        ALL,
        (signal.SIGINT,),
        ("absent", "frozen", "refusing"),
    ),
    "SIGINT in flush": Ending(
        "session = new(); train(session); ready()\nwhile True: session.flush(60)",
        signals=(signal.SIGINT,),
    ),
    "SIGINT, and again": Ending(
        "with new() as session: train_on(session)",
        ("numpy",),
        (signal.SIGINT, signal.SIGINT),
        ("absent",),
    ),
    "SIGTERM": Ending("with new() as session: train_on(session)", ALL, (signal.SIGTERM,)),
    "SIGTERM exits": Ending(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "with new() as session: train_on(session)",
        ALL,
        (signal.SIGTERM,),
    ),
    "SIGTERM closes": Ending(
        "session = new()\n"
        "def end(number, frame): session.close(0.5); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "train_on(session)",
        ALL,
        (signal.SIGTERM,),
    ),
    "SIGTERM closes what closes": Ending(
        "session = new(); train(session)\n"
        "def end(number, frame): session.close(0.5); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "ready(); session.close(60)",
        signals=(signal.SIGTERM,),
        bridges=("absent", "frozen"),
    ),
    "SIGALRM raises": Ending(
        "signal.signal(signal.SIGALRM, handler)\n"
        "with new() as session:\n"
        "    for _ in range(40):\n"
        "        step = 0\n"
        "        try:\n"
        "            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.01))\n"
        "            while True: log(session, step); step += 1\n"
        "        except Late: print('late')",
        ALL,
    ),
    "SIGALRM raises in close": Ending(
        "signal.signal(signal.SIGALRM, handler)\n"
        "session = new(); train(session)\n"
        "try:\n"
        "    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.05))\n"
        "    session.close(60); time.sleep(60)\n"
        "except Late: print('late')",
        ALL,
    ),
    "forks, the child returns": Ending(FORK.format(child="break"), ALL),
    "forks, the child exits": Ending(FORK.format(child="train(session); sys.exit(5)")),
    "forks, the child exits outside": Ending(
        "session = new(); train(session); child = os.fork(); train(session)\n"
        "if child == 0: sys.exit(5)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
        ALL,
    ),
    "forks, the child exits hard": Ending(FORK.format(child="train(session); os._exit(3)")),
    "forks, the child raises": Ending(FORK.format(child="raise ValueError('child')")),
    "forks, the child closes": Ending(
        FORK.format(child="session.close(); session.stats; sys.exit()")
    ),
    "forks, the child deletes it": Ending(
        "session = new(); train(session); child = os.fork()\n"
        "if child == 0: del session; gc.collect(); sys.exit(5)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
    ),
    "forks, the child has a session": Ending(
        FORK.format(child="other = new(); train(other); other.close(0.5); sys.exit(6)")
    ),
    "forks after a session, the child has one": Ending(
        "session = new(); train(session); session.close(0.5); child = os.fork()\n"
        "if child == 0: other = new(); train(other); other.close(0.5); sys.exit(6)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
    ),
    "forks beside log_batch": Ending(
        "session = new()\n"
        "thread = threading.Thread(target=train, args=(session, 300)); thread.start()\n"
        "for number in range(8):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        train(session, 3); sys.stdout.flush(); os._exit(number)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "thread.join(); session.close(0.5)",
    ),
    "multiprocessing by fork": Ending(
        "import multiprocessing\n"
        "with new() as session:\n"
        "    train(session)\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "        print(pool.map(abs, range(-4, 4)))\n"
        "    train(session)",
        ALL,
    ),
    "multiprocessing by spawn": Ending(
        "import multiprocessing\n"
        "with new() as session:\n"
        "    train(session)\n"
        "    with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
        "        print(pool.map(abs, range(-4, 4)))",
    ),
    "multiprocessing by forkserver": Ending(
        "import multiprocessing\n"
        "with new() as session:\n"
        "    train(session)\n"
        "    with multiprocessing.get_context('forkserver').Pool(2) as pool:\n"
        "        print(pool.map(abs, range(-4, 4)))",
    ),
    "a process logs and ends": Ending(
        "import multiprocessing\n"
        "session = new(); train(session)\n"
        "def work(): train(session); session.close(); sys.exit(9)\n"
        "process = multiprocessing.get_context('fork').Process(target=work)\n"
        "process.start(); process.join(); print(process.exitcode)",
        ALL,
    ),
    "a data loader": Ending(
        "from torch.utils.data import DataLoader\n"
        "with new() as session:\n"
        "    for epoch in range(2):\n"
        "        for step, rows in enumerate(DataLoader(range(8), batch_size=2, num_workers=2)):\n"
        "            log(session, step); print(rows.tolist())",
        ("torch",),
    ),
    "a data loader is left": Ending(
        "from torch.utils.data import DataLoader\n"
        "session = new()\n"
        "rows = iter(DataLoader(range(64), batch_size=2, num_workers=2, persistent_workers=True))\n"
        "log(session, 0); print(next(rows).tolist()); train(session); sys.exit(3)",
        ("torch",),
    ),
    "a daemon thread logs on": Ending(
        "session = new()\n"
        "threading.Thread(target=train_on, args=(session,), daemon=True).start()\n"
        "time.sleep(random.uniform(0.01, 0.1)); sys.exit(2)",
        ALL,
    ),
    "a daemon thread logs on behind the end": Ending(
        "session = new()\n"
        "threading.Thread(target=train_on, args=(session,), daemon=True).start()\n"
        "time.sleep(random.uniform(0.01, 0.1)); session.close(0.2)",
        ALL,
    ),
    "a daemon thread closes": Ending(
        "session = new(); train(session)\n"
        "threading.Thread(target=session.close, args=(60,), daemon=True).start()\n"
        "time.sleep(random.uniform(0.0, 0.1)); sys.exit(2)",
    ),
    "a thread logs on": Ending(
        "session = new()\n"
        "def work(): train(session, 300); print('done', flush=True)\n"
        "threading.Thread(target=work).start(); log(session, 1)",
    ),
    "a thread raises": Ending(
        "session = new()\n"
        "threading.excepthook = lambda given: print('hook', given.exc_type.__name__)\n"
        "def work(): train(session); raise ValueError\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join(); train(session)",
    ),
    "hooks of the program": Ending(
        "atexit.register(lambda: (train(session), print('last')))\n"
        "sys.excepthook = lambda kind, *_: (train(session), print('hook', kind.__name__))\n"
        "session = new()\n"
        "atexit.register(lambda: (train(session), print('first')))\n"
        "train(session); raise ValueError",
        ALL,
    ),
    "hooks of the program, before ours": Ending(
        "atexit.register(lambda: (train(session), session.close(), print('last')))\n"
        "atexit.register(lambda: sys.modules.pop('bridge.client', 0))\n"
        "session = new(); train(session)",
    ),
    "atexit raises": Ending(
        "atexit.register(lambda: 1 / 0); session = new(); train(session)",
    ),
    "a reference cycle": Ending(
        "class Holder: pass\n"
        "def make():\n"
        "    holder = Holder(); holder.self, holder.session = holder, new()\n"
        "    train(holder.session)\n"
        "make(); gc.collect(); make(); gc.disable(); make()",
        ALL,
    ),
    "deleted": Ending("session = new(); train(session); del session; gc.collect()", ALL),
    "a finaliser logs": Ending(
        "class Holder:\n"
        "    def __init__(self): self.session = new(); train(self.session)\n"
        "    def __del__(self): self.session.log_batch(1.0, epoch=0, batch=0); self.session.close()\n"
        "holder = Holder()",
    ),
    "twenty sessions": Ending(
        "sessions = [new() for _ in range(20)]\nfor session in sessions: log(session, 1)",
        ("float",),
    ),
    "a generator": Ending(
        "def loop():\n"
        "    with new() as session:\n"
        "        for step in range(100): log(session, step); yield step\n"
        "steps = loop(); print(next(steps), next(steps))",
        ALL,
    ),
    "a generator is closed": Ending(
        "def loop():\n"
        "    with new() as session:\n"
        "        for step in range(100): log(session, step); yield step\n"
        "for step in loop():\n"
        "    if step == 50: break\n"
        "print(step); sys.exit(3)",
    ),
    "asyncio": Ending(
        "import asyncio\n"
        "async def main():\n"
        "    with new() as session:\n"
        "        for step in range(30): log(session, step); await asyncio.sleep(0)\n"
        "    raise ValueError('no')\n"
        "asyncio.run(main())",
    ),
    "asyncio, SIGINT": Ending(
        "import asyncio\n"
        "async def main():\n"
        "    with new() as session:\n"
        "        step = 0; ready()\n"
        "        while True: log(session, step); step += 1; await asyncio.sleep(0)\n"
        "asyncio.run(main())",
        signals=(signal.SIGINT,),
    ),
    "asyncio, cancelled": Ending(
        "import asyncio\n"
        "async def work():\n"
        "    with new() as session:\n"
        "        while True: log(session, 1); await asyncio.sleep(0)\n"
        "async def main():\n"
        "    try: await asyncio.wait_for(work(), 0.05)\n"
        "    except TimeoutError: print('late')\n"
        "asyncio.run(main())",
    ),
}


class Ended(NamedTuple):
    """How a process has ended."""

    kind: str
    """Of the values that it logged."""
    state: str
    """Of the bridge; "" without the SDK."""
    status: int
    """As subprocess gives it; -N: by signal N."""
    out: str
    seconds: float
    err: str


@pytest.fixture(scope="module")
def bridges():
    """Return the address of a bridge in each state."""
    config = OURS | {"image_batches_per_second": 1e6}
    with ExitStack() as stack:
        there, refusing = FakeBridge(config=config), FakeBridge(config=config)
        refusing.refuse_registration = "no"
        addresses = {
            name: stack.enter_context(serving(bridge)).address
            for name, bridge in (("there", there), ("refusing", refusing))
        }
        yield addresses | {
            "absent": f"127.0.0.1:{free_port()}",
            "frozen": stack.enter_context(stopped_process()),
        }


@pytest.fixture(scope="module")
def endings(request, bridges):
    """Start the processes of all the tests that were asked for, a few at a time; return their futures."""
    names = [
        item.callspec.params["name"] for item in request.session.items if item.path == request.path
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: list(_started(pool, ENDINGS[name], bridges)) for name in names}
        pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(600 + RUNS * 600)
@pytest.mark.parametrize("name", ENDINGS)
def test_a_process_ends_as_without_the_sdk(endings, name):
    """Same status or signal, same output, within seconds, whatever the bridge is doing."""
    runs = [future.result() for future in endings[name]]
    if not runs:
        missing("PyTorch is not installed here", "`make torch` gets it, into .venv")
    without = {run.kind: run for run in runs if not run.state}
    wrong = [run for run in runs if not _is_as(run, without.get(run.kind, runs[0]))]

    assert not wrong, f"{len(wrong)} of {len(runs)}, the first: {wrong[0]}; without: {runs[0]}"


def _is_as(run, without):
    """Return whether a process has ended as the one without the SDK has."""
    return (
        (run.status, run.out) == (without.status, without.out)
        and run.seconds < LONGEST_SECONDS
        and not any(words in run.err and words not in without.err for words in NEVER)
    )


def _started(pool, ending, bridges):
    """Yield the future of a process without the SDK for each kind of values, and of those with it."""
    has_torch = find_spec("torch") is not None
    kinds = [kind for kind in ending.kinds if kind != "torch" or has_torch]
    for kind in kinds if len(ALL) < RUNS else kinds[:1]:
        yield pool.submit(_run, ending, "", "", kind)
    places = [(kind, state) for state in ending.bridges for kind in kinds]
    random.shuffle(places)
    for _, (kind, state) in zip(range(RUNS), cycle(places), strict=False):
        yield pool.submit(_run, ending, state, bridges[state], kind)


def _run(ending, state, address, kind):
    """Run a process to its end; without the SDK where there is no state of a bridge."""
    how = "with" if state else "without"
    command = [sys.executable, "-c", PRELUDE + ending.code, how, address, kind]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that its children can be ended with it
    )
    begun = time.monotonic()
    out = ""
    if ending.signals:
        out = process.stdout.readline()
    for number in ending.signals:
        time.sleep(random.uniform(0, LATEST_SIGNAL_SECONDS))
        begun = time.monotonic()
        process.send_signal(number)
    try:
        rest, err = process.communicate(timeout=2 * LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        time.sleep(1)  # for what it has to say
        os.killpg(process.pid, signal.SIGKILL)
        rest, err = process.communicate()
        err += "\n(killed: it did not end)"
    return Ended(kind, state, process.returncode, out + rest, time.monotonic() - begun, err)
