"""The names of sessions, and of the run that they belong to."""

import re

import pytest

from bridge.client.run_names import job_name, rank_labels, run_name
from bridge.client.settings import ProcessRank

TORCHRUN = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "MASTER_PORT": "29500"}


def ranks_of(ranks, wanted="", environment=None, group=""):
    """Return the names of two ranks of one job."""
    return [
        run_name(wanted, "ResNet", ProcessRank(rank, group, 4), ranks, environment or {})
        for rank in (0, 3)
    ]


def test_the_only_session_of_a_run_is_called_as_the_run():
    """Rank 0 reports for all, whether or not the name was given."""
    (zero, _) = ranks_of("zero", "night")
    assert zero == ("night", "night")

    made = run_name("", "ResNet", ProcessRank(), "zero", {})
    assert re.fullmatch("resnet-[0-9a-f]{6}", made.session_id)
    assert made.run_id == made.session_id


def test_with_all_ranks_each_has_a_session_of_the_run():
    """Where they have a name in common: the one given, or the launcher's."""
    assert ranks_of("all", "night") == [
        ("night-rank0", "night"),
        ("night-rank3", "night"),
    ]
    assert ranks_of("all", group="job 7")[1] == ("resnet-job-7-rank3", "resnet-job-7")
    assert ranks_of("all")[1].run_id == ""


def test_with_light_ranks_rank_0_keeps_the_name():
    """So links and boards that know the run by its name stay right when other ranks begin to report."""
    assert ranks_of("light", "night") == [("night", "night"), ("night-rank3", "night")]
    assert ranks_of("light", group="job 7")[1] == ("resnet-job-7-rank3", "resnet-job-7")


def test_a_long_name_stays_valid_and_in_common():
    """A session's name has 63 characters at most, and the run is called the same at all ranks."""
    zero, three = ranks_of("light", "x" * 63)

    assert zero == ("x" * 63, "x" * 63)
    assert three == ("x" * 54 + "-rank3", "x" * 63)


@pytest.mark.parametrize(
    ("environment", "other"),
    [
        ({"SLURM_JOB_ID": "71", "SLURM_NTASKS": "4"}, {"SLURM_JOB_ID": "72", "SLURM_NTASKS": "4"}),
        (
            {"SLURM_JOB_ID": "71", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "1"},
            {"SLURM_JOB_ID": "71", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "2"},
        ),
        ({"PMIX_NAMESPACE": "prterun-a-7@1"}, {"PMIX_NAMESPACE": "prterun-a-8@1"}),
        (TORCHRUN, TORCHRUN | {"MASTER_PORT": "29501"}),
    ],
    ids=["slurm", "slurm step", "pmix", "torchrun"],
)
def test_light_ranks_find_their_common_name_by_themselves(environment, other):
    """The same for all processes of a job, and another for the next job."""
    zero, three = ranks_of("light", environment=environment)

    assert zero.run_id == three.run_id == zero.session_id
    assert three.session_id == f"{zero.session_id}-rank3"
    assert ranks_of("light", environment=other)[0].run_id != zero.run_id


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SLURM_JOB_ID": "71", "SLURM_NTASKS": "1"},
        {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "a", "MASTER_PORT": "29500"},
    ],
    ids=["none", "a batch script", "several machines"],
)
def test_a_job_without_a_name_of_its_own_has_none(environment):
    """One made of the master's address would be that of the next job as well, and join what is apart."""
    assert job_name(environment) == ""
    assert [name.run_id for name in ranks_of("light", environment=environment)] == ["", ""]


def test_sessions_of_all_ranks_keep_the_labels_they_have_always_had():
    """Queries made for earlier versions still work."""
    process = ProcessRank(3, "job", 4)
    name = run_name("", "m", process, "all", {})

    assert rank_labels({"team": "a"}, process, "all", name.session_id) == {
        "team": "a",
        "rank": "3",
        "group": "m-job",
    }
    assert rank_labels({"team": "a"}, process, "light", "m-job-rank3") == {"team": "a"}
