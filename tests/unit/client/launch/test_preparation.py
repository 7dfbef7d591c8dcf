"""What is settled before a program starts."""

import subprocess
import sys

import pytest

from bridge.client.launch.preparation import (
    HOOK,
    Choices,
    node_rank,
    prepare,
    program_name,
)

PYTHON = ["python", "train.py"]


def prepared(tmp_path, words=PYTHON, variables=None, **choices):
    """Return what is settled in an environment of these variables."""
    environment = {"XDG_STATE_HOME": str(tmp_path), **(variables or {})}
    return prepare(words, Choices(**choices), environment)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python /there/train.py --lr 0.1", "train"),
        ("torchrun --nproc-per-node 8 finetune.py --config x.yaml", "finetune"),
        ("python -m package.training", "training"),
        ("bash ./nightly.sh", "nightly"),
        ("/opt/bin/trainer", "trainer"),
        ("python -m", "python"),
    ],
)
def test_a_run_is_called_after_its_script(command, name):
    """Or the module, or else the command."""
    assert program_name(command.split()) == name


@pytest.mark.parametrize(
    ("command", "rank"),
    [
        ("torchrun --nnodes 2 --node-rank 1 train.py", 1),
        ("torchrun --node_rank=3 train.py", 3),
        ("accelerate launch --machine_rank 1 train.py", 1),
        ("torchrun --node-rank 0 train.py", 0),
        ("python train.py", 0),
        ("python train.py --node-rank", 0),
    ],
)
def test_the_flags_of_launchers_say_which_machine_this_is(command, rank):
    """By each of their spellings."""
    assert node_rank(command.split()) == rank


def test_a_run_has_the_name_of_its_job(tmp_path):
    """So that it goes on under it after a requeue; without a job it has a new one each time."""
    slurm = {"SLURM_JOB_ID": "77"}
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_NAME": "resnet"}

    assert prepared(tmp_path, variables=slurm).run.session_id == "slurm-77"
    assert prepared(tmp_path, variables=pod).run.session_id == "resnet"
    assert prepared(tmp_path, variables=slurm, session_id="mine").run.session_id == "mine"
    names = {prepared(tmp_path).run.session_id for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("train-") for name in names)


@pytest.mark.parametrize(
    ("session_id", "hint"), [("auto", "no SLURM_JOB_ID"), ("a b", "letters, digits")]
)
def test_a_name_that_cannot_be_is_refused(tmp_path, session_id, hint):
    """Before anything starts."""
    with pytest.raises(ValueError, match=hint):
        prepared(tmp_path, session_id=session_id)


def test_of_several_tasks_one_announces_the_run(tmp_path):
    """All know its name."""
    task = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "4"}
    runs = [
        prepared(tmp_path, variables={**task, "SLURM_PROCID": str(number)}).run
        for number in range(4)
    ]

    assert [run.is_reported for run in runs] == [True, False, False, False]
    assert {run.session_id for run in runs} == {"slurm-77"}
    other = prepared(tmp_path, ["torchrun", "--node-rank", "1", "train.py"]).run
    assert (other.session_id, other.is_reported) == ("", False)


def test_the_program_has_our_environment_with_the_bridge_in_it(tmp_path):
    """The folder of the hook stands before what was in PYTHONPATH, which stays."""
    before = {"PYTHONPATH": "/mine", "LANG": "C", "TRAINBRIDGE_RUN_DIR": "/outer"}
    found = prepared(
        tmp_path,
        variables=before,
        connection={"address": "bridge:50051", "token": "secret", "ca_file": ""},
    )

    environment = found.environment
    assert environment["PYTHONPATH"] == f"{HOOK}:/mine"
    assert environment["LANG"] == "C"
    assert environment["TRAINBRIDGE_ADDRESS"] == found.bridge.target == "bridge:50051"
    assert environment["TRAINBRIDGE_TOKEN"] == "secret"
    assert "TRAINBRIDGE_CA_FILE" not in environment
    assert "TRAINBRIDGE_RUN_DIR" not in environment  # of a run around this one
    assert environment["TRAINBRIDGE_SPOOL_DIR"] == str(tmp_path / "trainbridge" / "spool")


def test_a_spool_that_was_asked_for_has_to_work(tmp_path):
    """The one that nobody has asked for is left out, and that is said."""
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(OSError, match="file"):
        prepared(tmp_path, spool_dir=str(file / "spool"))
    found = prepared(tmp_path, variables={"XDG_STATE_HOME": str(file)})
    assert found.spool is None
    assert "--spool-dir" in found.warnings[0]


def test_without_a_spool_the_program_has_none_either(tmp_path):
    """Not even one that the environment names."""
    found = prepared(tmp_path, variables={"TRAINBRIDGE_SPOOL_DIR": "/there"}, has_spool=False)

    assert found.spool is None
    assert "TRAINBRIDGE_SPOOL_DIR" not in found.environment


def test_nothing_that_has_threads_is_imported_before_signals_are_blocked():
    """A thread that came before would take a signal in our place, and the command would die of it."""
    code = (
        "import os, sys, bridge.cli, bridge.client.launch.launcher;"
        "print(len(os.listdir('/proc/self/task')), {'numpy', 'grpc', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )

    assert done.stdout == "1 set()\n"


def test_a_program_gets_the_file_of_a_token(tmp_path, monkeypatch):
    """By its whole path, and without a variable that would come before it; so both read it again."""
    (tmp_path / "token").write_text("secret")
    monkeypatch.chdir(tmp_path)

    settled = prepared(
        tmp_path,
        variables={"TRAINBRIDGE_TOKEN": "other"},
        connection={"token_file": "token"},
    )

    assert settled.bridge.token.value == "secret"
    assert settled.environment["TRAINBRIDGE_TOKEN_FILE"] == str(tmp_path / "token")
    assert "TRAINBRIDGE_TOKEN" not in settled.environment


def test_a_run_is_called_with_the_prefix_of_its_token(tmp_path):
    """Whether it is called after its job or its script; a name that is given is taken as it is."""
    variables = {"TRAINBRIDGE_SESSION_PREFIX": "a."}
    job = variables | {"SLURM_JOB_ID": "7"}

    names = [
        prepared(tmp_path, variables=variables).run.session_id,
        prepared(tmp_path, variables=job).run.session_id,
        prepared(tmp_path, variables=variables, session_id="mine").run.session_id,
    ]

    assert names[0].startswith("a.train-")
    assert names[1:] == ["a.slurm-7", "mine"]
