"""`trainbridge run`, with real programs and a real bridge."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from support.bridges import running_bridge
from support.runs_of_programs import SECONDS, command, environment, ran
from support.waiting import until_true

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such processes here")

TRAINS = """
import os, signal, sys
from bridge.client import TrainingSession
session = TrainingSession(model="resnet")
for batch in range(5):
    session.log_batch(1 / (batch + 1), epoch=0, batch=batch)
session.flush(60)
how = sys.argv[1]
if how == "close": session.close(60)
if how == "exit": os._exit(7)
if how == "kill": os.kill(os.getpid(), signal.SIGKILL)
if how == "raise": raise ValueError("no data")
"""

IS_KEPT = """
import glob, os, time
while True:
    files = glob.glob(os.environ["TRAINBRIDGE_SPOOL_DIR"] + "/*/*.spool")
    if session.stats.messages > 5 and sum(map(os.path.getsize, files)) > 200: break
    time.sleep(0.01)
"""
"""Ends as the messages of a session are on the disk."""

COUNTS = """
import os, signal
for each in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGCONT):
    signal.signal(each, lambda number, frame: os.write(1, signal.Signals(number).name.encode() + b"\\n"))
signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
os.write(1, f"ready {os.getppid()}\\n".encode())
while True:
    signal.pause()
"""
"""Says each signal as it comes; SIGTERM ends it."""


@pytest.fixture(scope="module")
def bridge(tmp_path_factory):
    """Yield a bridge in a process of its own."""
    with running_bridge(tmp_path_factory.mktemp("run") / "state") as running:
        yield running


@pytest.fixture
def home(tmp_path, bridge):
    """Return the variables of a user."""
    return environment(tmp_path, bridge.grpc)


def under(name, *words, variables, flags=(), **options):
    """Run a program as the run of this name."""
    return ran(command(*words, flags=("--session-id", name, *flags)), variables, **options)


@pytest.mark.parametrize(
    ("how", "exit_status", "status", "message"),
    [
        ("close", 0, "completed", None),
        ("exit", 7, "failed", "the program has ended with exit status 7"),
        ("kill", 137, "failed", "the program was killed by SIGKILL"),
        ("raise", 1, "failed", "ValueError: no data"),
    ],
)
def test_a_session_of_the_program_is_the_run(
    home, bridge, tmp_path, how, exit_status, status, message
):
    """One attempt, whichever of the two reports the end, and nothing is left in the spool."""
    done = under(how, sys.executable, "-c", TRAINS, how, variables=home)

    assert done.returncode == exit_status, done.stderr
    session = bridge.client.session(how)
    assert (session.status, session.status_message) == (status, message), done.stderr
    assert (session.attempt, session.batches, session.model_name) == (1, 5, "resnet")
    assert list((tmp_path / "trainbridge" / "spool").iterdir()) == []


@pytest.mark.parametrize(("code", "status"), [("exit 0", "completed"), ("exit 5", "failed")])
def test_a_program_that_has_no_session_is_seen_too(home, bridge, code, status):
    """Its streams are not touched."""
    program = f"cat; echo problem >&2; {code}"
    name = status
    done = under(name, "sh", "-c", program, variables=home, input="said")

    assert (done.stdout, done.stderr) == ("said", "problem\n")
    assert done.returncode == int(code.split()[1])
    session = bridge.client.session(name)
    assert session.status == status
    assert f"exit status {done.returncode}" in session.status_message


def test_a_run_is_there_before_its_program_reports_anything(home, bridge):
    """A program that hangs while it loads is seen; and one that is asked to end by a signal is passed that."""
    words = command("sleep", "1000", flags=("--session-id", "early", "--label", "team=vision"))
    process = subprocess.Popen(words, env=home, stderr=subprocess.PIPE)
    until_true(lambda: "early" in {one.session_id for one in bridge.client.sessions()})
    until_true(lambda: bridge.client.session("early").status == "initializing")
    process.send_signal(signal.SIGTERM)

    _, said = process.communicate(timeout=SECONDS)
    assert (process.returncode, said) == (143, b"")
    session = bridge.client.session("early")
    assert session.status_message == "the program was killed by SIGTERM"


def test_signals_to_the_command_reach_the_program_once(home):
    """Each of them; the exit status is the program's own."""
    words = command(sys.executable, "-u", "-c", COUNTS, flags=("--session-id", "signals"))
    with subprocess.Popen(words, env=home, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("ready")
        sent = ("SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGCONT")
        for name in sent:
            process.send_signal(getattr(signal, name))
            assert process.stdout.readline() == f"{name}\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == ""
        assert process.wait(SECONDS) == 9


@pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid gives a process its terminal")
def test_ctrl_c_in_a_terminal_reaches_the_program_once(home):
    """From the terminal itself; the command only waits for what the program makes of it."""
    ours, theirs = os.openpty()
    words = command(sys.executable, "-u", "-c", COUNTS, flags=("--session-id", "terminal"))
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *words],
        env=home,
        stdin=theirs,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        this = int(process.stdout.readline().split()[1])
        for _ in range(2):
            os.write(ours, b"\x03")
            assert process.stdout.readline() == "SIGINT\n"
        # Of several signals the command takes the lowest first: what it would have passed on has come by now.
        os.kill(this, signal.SIGUSR1)
        assert process.stdout.readline() == "SIGUSR1\n"
        os.kill(this, signal.SIGTERM)
        output, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
        os.close(theirs)

    assert (output, process.returncode) == ("", 9)


SPACE = (
    "unshare",
    *(() if os.geteuid() == 0 else ("--user", "--map-root-user")),
    *("--pid", "--fork", "--mount-proc"),
)
"""Runs a command whose processes have numbers of their own; root needs no namespace of users for it."""


def _can_unshare():
    """Return whether this system lets us have processes with numbers of their own."""
    return (
        shutil.which("unshare")
        and subprocess.run([*SPACE, "true"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not _can_unshare(), reason="this system allows no namespaces")
def test_as_the_first_process_of_a_container_it_reaps_orphans_and_passes_sigterm_on(home, bridge):
    """As in a pod, where SIGTERM without a handler would be ignored, and nobody else waits for orphans."""
    program = (
        "trap 'exit 21' TERM; orphan=$(sh -c 'sleep 0.1 >/dev/null & echo $!');"
        " while [ -e /proc/$orphan ]; do sleep 0.05; done; echo reaped;"
        " while true; do sleep 0.05; done"
    )
    inner = command("sh", "-c", program, flags=("--session-id", "pod"))
    # The first process of the namespace is the command itself: `exec` keeps its number.
    with subprocess.Popen(
        [*SPACE, *inner], env=home, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout.readline() == "reaped\n"
        (first,) = _children(process.pid)
        os.kill(first, signal.SIGTERM)
        assert process.wait(SECONDS) == 21

    assert bridge.client.session("pod").status == "failed"


def _children(pid):
    """Return the processes that a process has started."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: PTH123 -- no file of ours
        return [int(word) for word in file.read().split()]


@pytest.mark.parametrize(
    ("word", "status", "hint"), [("nosuch", 127, "no such command"), ("", 126, "chmod +x")]
)
def test_what_cannot_be_started_has_the_status_of_a_shell(
    home, bridge, tmp_path, word, status, hint
):
    """And no session."""
    script = tmp_path / "script.py"
    script.touch(mode=0o644)
    done = under(f"none{status}", word or str(script), variables=home)

    assert done.returncode == status
    assert hint in done.stderr
    assert f"none{status}" not in {one.session_id for one in bridge.client.sessions()}


def test_without_a_bridge_the_program_runs_and_all_of_it_is_kept(home, bridge, tmp_path):
    """`trainbridge sync`, as the command says at its end, delivers it with the end that the command saw."""
    away = {**home, "TRAINBRIDGE_ADDRESS": "127.0.0.1:1"}
    fast = ("--sync-seconds", "0.5")
    trains = TRAINS.replace("session.flush(60)", IS_KEPT)
    killed = under("kept", sys.executable, "-c", trains, "exit", variables=away, flags=fast)
    plain = under("plain", "sh", "-c", "exit 4", variables=away, flags=fast)

    assert (killed.returncode, plain.returncode) == (7, 4)
    spool = tmp_path / "trainbridge" / "spool"
    assert f"trainbridge sync {spool}/kept-" in killed.stderr
    assert f"trainbridge sync {spool}/plain-" in plain.stderr
    synced = ran([sys.executable, "-m", "bridge", "sync", str(spool)], home)
    assert synced.returncode == 0, synced.stderr
    assert bridge.client.session("kept").batches == 5
    assert "exit status 7" in bridge.client.session("kept").status_message
    assert "exit status 4" in bridge.client.session("plain").status_message


@pytest.mark.parametrize(("flags", "watches"), [((), True), (("--no-autodetect",), False)])
def test_a_python_finds_its_own_sitecustomize(home, tmp_path, flags, watches):
    """One that was there before runs as well; what the program sees of its environment is what it had."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.mine = 'here'\n")
    variables = {**home, "PYTHONPATH": f"{tmp_path}:{home['PYTHONPATH']}"}
    code = (
        "import json, sys; found = [type(each).__module__ for each in sys.meta_path];"
        "print(json.dumps([sys.mine, sys.argv, 'bridge.client.launch.autodetect' in found]))"
    )
    done = under("site", sys.executable, "-c", code, "--", "a", variables=variables, flags=flags)

    assert json.loads(done.stdout) == ["here", ["-c", "--", "a"], watches]
    assert done.stderr == ""


def test_a_python_without_trainbridge_runs_on_and_is_said_once(home, bridge, tmp_path):
    """However many it starts: what is missing, and how to install it."""
    empty = tmp_path / "empty"
    empty.mkdir()
    # Only the folder of the hook, which comes first: neither our checkout nor our packages.
    bare = f"PYTHONPATH=${{PYTHONPATH%%:*}} {sys._base_executable} -c 'print(1)'"
    done = under("bare", "sh", "-c", f"cd {empty}; {bare}; {bare}", variables=home)

    assert done.stdout == "1\n1\n"
    assert done.stderr.count("has no trainbridge") == 1
    assert "pip install trainbridge" in done.stderr
    assert bridge.client.session("bare").status == "completed"


def test_the_tasks_of_a_job_are_one_run_and_a_requeued_job_is_its_next_attempt(home, bridge):
    """Each task has a command of its own, as `srun` starts them; the job's number is the name."""

    def step():
        tasks = [
            subprocess.Popen(
                command(sys.executable, "-c", TRAINS, "close"),
                env={**home, **job, "SLURM_PROCID": str(number)},
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(2)
        ]
        said = [task.communicate(timeout=SECONDS)[1] for task in tasks]
        assert [task.returncode for task in tasks] == [0, 0], said

    job = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "2", "SLURM_STEP_ID": "0"}
    before = {one.session_id for one in bridge.client.sessions()}
    step()
    first = bridge.client.session("slurm-77")
    step()
    second = bridge.client.session("slurm-77")

    assert {one.session_id for one in bridge.client.sessions()} - before == {"slurm-77"}
    assert (first.attempt, first.batches, first.world_size) == (1, 5, 2)
    assert (second.attempt, second.status) == (2, "completed")


def test_ctrl_c_ends_the_delivery_and_says_how_to_go_on(home, tmp_path):
    """Of what the program has left; the exit status is the program's all the same."""
    away = {**home, "TRAINBRIDGE_ADDRESS": "127.0.0.1:1"}
    trains = TRAINS.replace("session.flush(60)", IS_KEPT)
    flags = ("--session-id", "interrupted", "--sync-seconds", "1000")
    words = command(sys.executable, "-c", trains, "exit", flags=flags)
    with subprocess.Popen(words, env=away, stderr=subprocess.PIPE, text=True) as process:
        ended = tmp_path / "trainbridge" / "spool"
        until_true(lambda: list(ended.glob("interrupted-*/ended.json")))
        until_true(lambda: process.poll() is not None or _handles(process.pid, signal.SIGINT))
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(SECONDS) == 7

    assert "trainbridge sync" in said


def _handles(pid, number):
    """Return whether a process handles a signal, and does not hold it back."""
    with open(f"/proc/{pid}/status") as file:  # noqa: PTH123 -- no file of ours
        lines = dict(line.split(":", 1) for line in file)
    bit = 1 << (number - 1)
    return int(lines["SigCgt"], 16) & bit and not int(lines["SigBlk"], 16) & bit
