"""The address, credentials and id of a session."""

import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.client.settings import ProcessRank, destination, process_rank, session_name
from bridge.protocol import SESSION_ID


def test_arguments_come_before_variables(tmp_path):
    """Settings not given come from the environment; secrets also from files."""
    secret = tmp_path / "token"
    secret.write_text("from a file\n")
    environment = {"TRAINBRIDGE_ADDRESS": "there:1", "TRAINBRIDGE_TOKEN_FILE": str(secret)}

    found = destination("", environment=environment)
    assert (found.target, found.token.value) == ("there:1", "from a file")
    found = destination("here:2", token="mine", environment=environment)
    assert (found.target, found.token.value) == ("here:2", "mine")
    assert "mine" not in repr(found)


PROXY = "http://user:pw@proxy.example:3128"


@pytest.mark.parametrize(
    ("address", "environment", "variable"),
    [
        ("bridge", {"http_proxy": PROXY}, "http_proxy"),
        ("bridge", {"HTTPS_PROXY": PROXY, "http_proxy": "http://other"}, "HTTPS_PROXY"),
        ("bridge", {"grpc_proxy": PROXY, "https_proxy": "http://other"}, "grpc_proxy"),
        ("bridge", {"http_proxy": PROXY, "no_proxy": "bridge"}, None),
        ("[fd00::1]:7", {"http_proxy": PROXY, "no_proxy": "fd00::/8"}, None),
        ("127.0.0.1", {"http_proxy": PROXY}, None),
        ("::1", {"http_proxy": PROXY}, None),
        ("localhost", {"HTTP_PROXY": PROXY}, None),
        ("unix:/run/bridge.sock", {"http_proxy": PROXY}, None),
        ("", {"http_proxy": PROXY}, None),
    ],
)
def test_a_proxy_stands_before_other_machines_only(address, environment, variable):
    """It is named by the first variable that is set; no_proxy and loopback are reached directly."""
    found = destination(address, environment=environment)

    assert (found.proxy and found.proxy.variable) == variable
    assert "pw" not in repr(found)


@pytest.fixture
def group(monkeypatch):
    """Return a function that sets the process group of torch.distributed: rank and size, or None."""

    def set_group(rank=None, size=0):
        fake = SimpleNamespace(
            is_initialized=lambda: rank is not None,
            get_rank=lambda: rank,
            get_world_size=lambda: size,
        )
        monkeypatch.setitem(sys.modules, "torch.distributed", fake)

    monkeypatch.delitem(sys.modules, "torch.distributed", raising=False)
    return set_group


@pytest.mark.parametrize(
    ("environment", "rank", "world_size"),
    [
        ({}, 0, 0),
        ({"RANK": "2", "WORLD_SIZE": "4"}, 2, 4),
        ({"RANK": "0", "LOCAL_RANK": "0", "SLURM_PROCID": "3", "SLURM_NTASKS": "8"}, 0, 0),
        ({"RANK": "first"}, 0, 0),
        ({"SLURM_PROCID": "1"}, 1, 0),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, 1, 2),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_ARRAY_TASK_ID": "7"}, 0, 0),
        ({"SLURM_PROCID": "0", "SLURM_ARRAY_TASK_ID": "7"}, 0, 0),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, 1, 2),
        ({"OMPI_COMM_WORLD_RANK": "1"}, 1, 0),
        ({"PMI_RANK": "1"}, 1, 0),
        ({"PMIX_RANK": "3"}, 3, 0),
        ({"MV2_COMM_WORLD_RANK": "1"}, 1, 0),
        ({"HOROVOD_RANK": "1", "HOROVOD_SIZE": "2"}, 1, 2),
        ({"PMI_RANK": "0", "PMI_SIZE": "1", "SLURM_PROCID": "4"}, 4, 0),
        ({"LOCAL_RANK": "1"}, 1, 0),
        ({"LOCAL_RANK": "0"}, 0, 0),
        ({"LOCAL_RANK": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, 1, 0),
        ({"LOCAL_RANK": "0", "GROUP_RANK": "0"}, 0, 0),
        ({"LOCAL_RANK": "0", "GROUP_RANK": "1"}, 1, 0),
        ({"LOCAL_RANK": "2", "GROUP_RANK": "1", "LOCAL_WORLD_SIZE": "4"}, 6, 0),
        ({"LOCAL_RANK": "0", "NODE_RANK": "2", "WORLD_SIZE": "24"}, 2, 24),
        ({"LOCAL_RANK": "0", "SLURM_NODEID": "3", "SLURM_NTASKS_PER_NODE": "8"}, 24, 0),
    ],
)
def test_every_launcher_names_the_rank(environment, rank, world_size, group):
    """One process of a job is rank 0 under any of them; a task of a job array is alone."""
    found = process_rank(environment)

    assert (found.rank, found.world_size) == (rank, world_size)


@given(
    st.dictionaries(
        st.sampled_from(
            ["RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_NTASKS", "PMI_RANK", "NODE_RANK"]
        ),
        st.text(max_size=4) | st.integers().map(str) | st.just("9" * 5000),
    )
)
def test_whatever_the_variables_hold_there_is_a_rank(environment):
    """What is not a number is ignored; nothing is raised when a session is constructed."""
    assert process_rank(environment).rank >= 0


def test_a_process_group_knows_best(group):
    """It numbers processes that no launcher started, or that it started for another purpose."""
    environment = {"RANK": "0", "TORCHELASTIC_RUN_ID": "job", "SLURM_PROCID": "7"}
    group()
    assert process_rank(environment) == ProcessRank(0, "job")
    assert process_rank({}) == ProcessRank()
    group(5, 8)
    assert process_rank(environment) == ProcessRank(5, "job")
    assert process_rank({}).world_size == 8


def test_the_rank_can_be_read_whatever_torch_is_like(monkeypatch):
    """A build without distributed training, or an older one, is one process."""
    assert process_rank({"RANK": "2", "TORCHELASTIC_RUN_ID": "job"}) == ProcessRank(2, "job")
    monkeypatch.setitem(
        sys.modules,
        "torch.distributed",
        SimpleNamespace(is_initialized=lambda: True, get_rank=lambda: 5),
    )
    assert process_rank({}) == ProcessRank(5)
    monkeypatch.setitem(sys.modules, "torch.distributed", SimpleNamespace())
    assert process_rank({}) == ProcessRank()


@pytest.mark.parametrize("run", ["100", "none", "4F1C-" * 7 + "4F1C", "é"])
@pytest.mark.parametrize("model", ["", "resnet18", "A very long name of a model " * 3])
@pytest.mark.parametrize("rank", [0, 1234])
def test_runs_of_different_models_have_different_names(run, model, rank):
    """Many jobs are started as run "100"; the name still fits the protocol, whole."""
    where = process_rank({"RANK": str(rank), "TORCHELASTIC_RUN_ID": run})

    for ranks in ("zero", "all"):
        name = session_name("", model, where, ranks)
        assert SESSION_ID.fullmatch(name)
        assert name.startswith(("resnet18-", "a-very-long-", "run-"))
        assert run.lower()[:20] in name or run in {"none", "é"}
        assert ranks == "zero" or not rank or name.endswith("-rank1234")


def test_names():
    """It is derived from the model's where none is wanted, and always fits the protocol."""
    assert session_name("mine", "m", ProcessRank(), "zero") == "mine"
    made = session_name("", "Résnet 18/v2!", ProcessRank(), "zero")
    assert made.startswith("r-snet-18-v2-")
    assert made != session_name("", "Résnet 18/v2!", ProcessRank(), "zero")
    assert session_name("", "", ProcessRank(), "zero").startswith("run-")
    assert session_name("x" * 63, "", ProcessRank(12), "all") == "x" * 54 + "-rank12"
    assert session_name("", "m", ProcessRank(1, "job 7"), "all") == "m-job-7-rank1"


@pytest.mark.parametrize("prefix", ["a.", "team-a_", "n" * 47 + "."])
@pytest.mark.parametrize("group", ["", "job 7", "4F1C-" * 7 + "4F1C"])
@pytest.mark.parametrize("model", ["", "resnet18", "A very long name of a model " * 3])
def test_names_that_are_made_begin_with_the_prefix(prefix, group, model):
    """A token may be for such sessions alone; they still fit the protocol, and two runs do not become one."""
    environment = {"TRAINBRIDGE_SESSION_PREFIX": f" {prefix}\n"}

    for ranks in ("zero", "all"):
        names = {
            session_name("", model, ProcessRank(1234, name), ranks, environment)
            for name in (group, f"x{group}")
        }
        assert len(names) == 2
        assert all(SESSION_ID.fullmatch(name) for name in names)
        assert all(name.startswith(prefix) for name in names)
    assert session_name("mine", model, ProcessRank(), "zero", environment) == "mine"


@pytest.mark.parametrize("prefix", ["-a", "a b", "a/", "é", "x" * 49])
def test_a_prefix_that_no_name_can_have(prefix):
    """It is refused by its variable."""
    with pytest.raises(ValueError, match=r"TRAINBRIDGE_SESSION_PREFIX: .* give the one that"):
        session_name("", "m", ProcessRank(), "zero", {"TRAINBRIDGE_SESSION_PREFIX": prefix})
