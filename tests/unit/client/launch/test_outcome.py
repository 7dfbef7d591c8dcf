"""How a program has ended, in words."""

import pytest

from bridge.client.endings import Ending
from bridge.client.launch.endings_left import end_left_in, leave_end
from bridge.client.launch.memory_kills import out_of_memory_kills
from bridge.client.launch.outcome import Outcome
from bridge.protocol import Status


@pytest.mark.parametrize(
    ("code", "exit_status", "status", "ending", "words"),
    [
        (0, 0, Status.COMPLETED, Ending.AS_REPORTED, "exit status 0"),
        (3, 3, Status.FAILED, Ending.AS_REPORTED, "exit status 3"),
        (-9, 137, Status.FAILED, Ending.AS_REPORTED, "killed by SIGKILL"),
        (-15, 143, Status.FAILED, Ending.TERMINATED, "killed by SIGTERM"),
        (143, 143, Status.FAILED, Ending.TERMINATED, "exit status 143"),
        (-2, 130, Status.FAILED, Ending.INTERRUPTED, "killed by SIGINT"),
        (-35, 163, Status.FAILED, Ending.AS_REPORTED, "killed by signal 35"),
    ],
)
def test_every_end_has_a_status_and_words(code, exit_status, status, ending, words):
    """As a shell and the page of the run show it."""
    outcome = Outcome(code)

    assert outcome.exit_status == exit_status
    assert (outcome.status.status, outcome.status.ending) == (status, ending)
    assert words in outcome.status.message


def test_memory_is_blamed_only_where_the_kernel_has_counted_it():
    """A SIGKILL has many senders, and no other signal is the kernel's for want of memory."""
    assert "memory" not in Outcome(-9).text
    assert "memory.events" in Outcome(-9, out_of_memory_kills=1).text
    assert "memory" not in Outcome(-15, out_of_memory_kills=1).text


def test_the_count_is_that_of_our_own_cgroup(tmp_path):
    """None where the system has no such file: nothing is concluded from that."""
    own, group = tmp_path / "own", tmp_path / "user" / "job"
    group.mkdir(parents=True)
    own.write_text("0::/user/job\n")
    assert out_of_memory_kills(own, tmp_path) is None

    (group / "memory.events").write_text("low 0\noom 2\noom_kill 4\n")
    assert out_of_memory_kills(own, tmp_path) == 4
    assert out_of_memory_kills(tmp_path / "none", tmp_path) is None


def test_an_end_waits_beside_the_messages(tmp_path):
    """Whoever delivers these says that; damaged, it is as if there were none."""
    leave_end(tmp_path, Outcome(-15).status)
    end = end_left_in(tmp_path)
    assert (end.status, end.ending) == (Status.FAILED, Ending.TERMINATED)
    assert end.message == "the program was killed by SIGTERM"

    (tmp_path / "ended.json").write_text("{")
    assert end_left_in(tmp_path) is None
    assert end_left_in(tmp_path / "nowhere") is None
