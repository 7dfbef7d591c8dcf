"""Every way in which a session gets into another process, and what becomes of it there: docs/sdk.md."""

import json
import sys
from functools import partial
from importlib.util import find_spec

import pytest
from support.markdown import tables_under
from support.programs import run_program, running
from support.tools import ROOT, missing

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no forks here")

ROWS = dict(tables_under((ROOT / "docs" / "sdk.md").read_text())["Processes"])

PROGRAM = """
import copy, json, logging, multiprocessing, os, pickle, subprocess, sys, threading, warnings
from concurrent.futures import ProcessPoolExecutor
warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads

def calls(session):
    import json, logging
    said = []
    class Handler(logging.Handler):
        def emit(self, record): said.append(record.getMessage())
    logging.getLogger("trainbridge").addHandler(Handler())
    for batch in range(3):
        session.log_batch(0.5, epoch=9, batch=batch)
    session.close()
    print(json.dumps([session.stats.left_out, said]), flush=True)

def call_of(log_batch):
    calls(log_batch.__self__)

def new(name="run"):
    from bridge.client import TrainingSession
    return TrainingSession(session_id=name, close_seconds=60)

def own():
    session = new("child")
    session.log_batch(0.5, epoch=1, batch=0)
    print(json.dumps(session.close(60)), flush=True)

def process(method, target, *arguments):
    child = multiprocessing.get_context(method).Process(target=target, args=arguments)
    child.start(); child.join()

def in_executor(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool: pool.submit(calls, session).result()

class Callback:
    def __init__(self, session): self.session = session

class Data:
    def __init__(self, session): self.session = session
    def __len__(self): return 1
    def __getitem__(self, index): calls(self.session); return index

def load(method):
    from torch.utils.data import DataLoader
    list(DataLoader(Data(session), num_workers=1, multiprocessing_context=method))

def forked():
    child = os.fork()
    if child == 0:
        calls(session); os._exit(0)
    os.waitpid(child, 0)

def called_globally(): calls(session)

def in_pool():
    with multiprocessing.get_context("spawn").Pool(1) as pool: pool.map(calls, [session])

def with_joblib():
    import joblib
    joblib.Parallel(n_jobs=2)([joblib.delayed(calls)(session)])

def with_cloudpickle():
    import cloudpickle
    calls(pickle.loads(cloudpickle.dumps(session)))

def in_thread():
    thread = threading.Thread(target=session.log_batch, args=(0.5,), kwargs={"epoch": 9, "batch": 0})
    thread.start(); thread.join()

if __name__ == "__main__":
    if sys.argv[1:]: own(); sys.exit()
    if os.environ["SESSION"] == "later": eval(os.environ["WAY"])
    session = new()
    session.log_batch(0.5, epoch=0, batch=0)
    assert session.flush(60) == 0
    if os.environ["SESSION"] == "first": eval(os.environ["WAY"])
    session.log_batch(0.5, epoch=0, batch=1)
    sys.exit(session.close(60))
"""

WAYS = {
    "`os.fork()`": "forked()",
    "`multiprocessing` by fork, as an argument": "process('fork', calls, session)",
    "`multiprocessing` by fork, as a global": "process('fork', called_globally)",
    "`multiprocessing` by spawn": "process('spawn', calls, session)",
    "`multiprocessing` by forkserver": "process('forkserver', calls, session)",
    "`multiprocessing.Pool` by spawn": "in_pool()",
    "`ProcessPoolExecutor` by fork": "in_executor('fork')",
    "`ProcessPoolExecutor` by spawn": "in_executor('spawn')",
    "`ProcessPoolExecutor` by forkserver": "in_executor('forkserver')",
    "one of its methods, brought to a process by spawn": (
        "process('spawn', call_of, session.log_batch)"
    ),
    "`joblib` with processes": "with_joblib()",
    "`cloudpickle`": "with_cloudpickle()",
    "`pickle`": "calls(pickle.loads(pickle.dumps(session)))",
    "`copy.copy`": "calls(copy.copy(session))",
    "`copy.deepcopy` of a callback that holds it": "calls(copy.deepcopy(Callback(session)).session)",
    "a data loader's workers, by fork": "load('fork')",
    "a data loader's workers, by spawn": "load('spawn')",
    "`subprocess` with the same environment": "subprocess.run([sys.executable, __file__, 'own'])",
    "a session made in a process by spawn": "process('spawn', own)",
    "a session made in a process by fork, before the parent has one": "process('fork', own)",
    "a thread": "in_thread()",
}

NEEDS = {"`joblib` with processes": "joblib", "`cloudpickle`": "cloudpickle"} | {
    name: "torch" for name in WAYS if "data loader" in name
}


@pytest.fixture(scope="module")
def ran(request, tmp_path_factory):
    """Run the programs of the tests that were asked for; return their futures."""
    folder = tmp_path_factory.mktemp("programs")
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    ]
    calls = {
        name: partial(
            run_program,
            folder / f"program_{list(WAYS).index(name)}.py",
            PROGRAM,
            WAY=WAYS[name],
            SESSION="later" if "before" in name else "first",
        )
        for name in names
        if name in WAYS and find_spec(NEEDS.get(name, "bridge"))
    }
    with running(calls) as futures:
        yield futures


def test_every_way_is_documented_and_tested():
    """A row without a case, or a case without a row, fails here."""
    assert list(WAYS) == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_what_becomes_of_a_session_that_is_brought_there(ran, name):
    """As its row says; the session in the process that made it goes on in each case."""
    if name not in ran:
        missing(f"{NEEDS[name]} is not installed here", "`make torch` and `make test` get it")
    program = ran[name].result()

    assert program.status == 0, program.err
    EXPECTED[ROWS[name]](program)


def said_once(program):
    """The copy counts its calls and names itself once; nothing of it arrives."""
    ((left_out, said),) = map(json.loads, program.out)
    assert left_out == {"batches: copy": 3}
    assert len(said) == 1
    assert "a copy of session run" in said[0]
    assert program.bridge.batches() == [(0, 0), (0, 1)]
    assert program.end == "COMPLETED"


def of_its_own(program):
    """Both register, and both deliver all they have."""
    assert program.out == ["0"]
    assert {each.session_id for each in program.bridge.registrations} == {"run", "child"}


def as_its_own(program):
    """Its calls are those of the process."""
    assert program.bridge.batches() == [(0, 0), (9, 0), (0, 1)]


EXPECTED = {
    "left out, said once": said_once,
    "a session of their own": of_its_own,
    "as in the thread that made it": as_its_own,
}
