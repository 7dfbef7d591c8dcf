"""Names that a job finds again after a restart."""

import pytest

from bridge.client.settings import ProcessRank
from bridge.client.stable_names import LENGTH, stable_name
from bridge.protocol import SESSION_ID

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "night-7", "RANK": "0"}
ALONE = ProcessRank()
ONE_OF_TWO = ProcessRank(1, "", 2)


def auto(environment, *, process=ALONE, host="node7", model="ResNet 18"):
    """Return the name of a process with this environment, on this host."""
    return stable_name("auto", model, process, environment, lambda: host)


@pytest.mark.parametrize(
    ("environment", "host", "expected"),
    [
        ({"SLURM_JOB_ID": "4711"}, "node7", "slurm-4711"),
        ({"SLURM_JOB_ID": "4711", "SLURM_RESTART_COUNT": "2"}, "node8", "slurm-4711"),
        (
            {
                "SLURM_JOB_ID": "4713",
                "SLURM_ARRAY_JOB_ID": "4711",
                "SLURM_ARRAY_TASK_ID": "2",
            },
            "node7",
            "slurm-4711-2",
        ),
        ({"SLURM_JOB_ID": "4711", **TORCHRUN}, "node7", "slurm-4711"),
        (POD, "train-cifar-x7k2p", "train-cifar"),
        (POD, "train-cifar-worker-3", "train-cifar"),
        (POD, "train-cifar-master-0", "train-cifar"),
        (POD, "trainer-0", "trainer-0"),
        (POD | {"POD_NAME": "train-b-2bcdf"}, "anything", "train-b"),
        (POD | {"JOB_NAME": "train-cifar"}, "anything", "train-cifar"),
        (POD | {"JOB_COMPLETION_INDEX": "3"}, "sweep-3", "sweep-3"),
        (POD | {"JOB_COMPLETION_INDEX": "3", "POD_NAME": "sweep-3-x7k2p"}, "sweep-3", "sweep-3"),
        (POD | {"JOB_COMPLETION_INDEX": "3", "JOB_NAME": "sweep"}, "sweep-3", "sweep-3"),
        ({"TRAINBRIDGE_JOB_NAME": "night", **POD}, "train-x7k2p", "night"),
        ({"TRAINBRIDGE_JOB_NAME": "night"}, "node7", "night"),
        (TORCHRUN, "node7", "night-7"),
    ],
)
def test_each_scheduler_has_a_name_that_a_restart_does_not_change(environment, host, expected):
    """With the model in front, as names that are made up have it."""
    assert auto(environment, host=host) == f"resnet-18-{expected}"
    assert auto(environment, host=host, model="") == expected


def test_ranks_of_one_job_share_the_name():
    """An index that numbers the ranks is not one of separate runs."""
    pod = POD | {"JOB_COMPLETION_INDEX": "1", "JOB_NAME": "train"}

    assert auto(pod, process=ONE_OF_TWO, model="") == "train"
    assert auto(pod | {"JOB_NAME": ""}, process=ONE_OF_TWO, host="train-1", model="") == "train"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        POD,
        {"JOB_NAME": "nightly"},
        {"TORCHELASTIC_RUN_ID": "none"},
        {"JOB_NAME": "", "SLURM_JOB_ID": ""},
    ],
)
def test_where_there_is_no_such_name_that_is_said(environment):
    """With what was looked for, and the way out."""
    with pytest.raises(ValueError, match=r"no SLURM_JOB_ID.*Set TRAINBRIDGE_JOB_NAME, or give"):
        auto(environment, host="laptop")


@pytest.mark.parametrize("job", ["x" * 200, "a/b c", "job:1", "\u635f\u5931", "-a-", "a."])
def test_any_name_obeys_the_rule_and_stays_another_job_than_its_neighbours(job):
    """Cleaning and cutting do not make two jobs one."""
    name, other = (auto({"TRAINBRIDGE_JOB_NAME": text}) for text in (job, job + "!"))

    assert SESSION_ID.fullmatch(name)
    assert len(name) <= LENGTH
    assert name != other


@pytest.mark.parametrize("wanted", ["", None, "mine"])
def test_any_other_name_is_left_as_it_is(wanted):
    """Only the word itself asks for one."""
    assert stable_name(wanted, "m", ALONE, {}) == wanted


@pytest.mark.parametrize("prefix", ["a.", "team-a_", "n" * 47 + "."])
@pytest.mark.parametrize("job", ["4711", "a job / of mine", "x" * 80])
def test_a_name_of_a_job_begins_with_the_prefix(prefix, job):
    """As others that are made; another job has another one."""
    variables = {"TRAINBRIDGE_SESSION_PREFIX": prefix}
    names = {auto({"TRAINBRIDGE_JOB_NAME": name, **variables}) for name in (job, f"{job}y")}

    assert len(names) == 2
    assert all(SESSION_ID.fullmatch(name) for name in names)
    assert all(name.startswith(prefix) and len(name) <= LENGTH for name in names)
