"""The bridge of the demo."""

import itertools
import socket
import subprocess
import sys

import pytest
from support.waiting import until_true

from bridge.demo.bridge_process import SESSIONS_KEPT, RunningBridge, bridge_command, check_free
from bridge.errors import BridgeError


def test_a_port_that_is_taken_says_what_to_do():
    """A second demo names the flag, the address, and two ways out; a free port is fine."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BridgeError) as caught:
            check_free("--http-address", address)

    text = str(caught.value)
    assert text.startswith(f"--http-address {address} is taken: another demo")
    assert "stop it, or choose free ports: trainbridge demo --grpc-address 127.0.0.1:0" in text
    check_free("--http-address", "127.0.0.1:0")


def test_an_address_of_another_machine_is_refused():
    """Not as if it were in use."""
    with pytest.raises(BridgeError, match=r"^--http-address 192\.0\.2\.1:0 cannot be used: "):
        check_free("--http-address", "192.0.2.1:0")


@pytest.mark.parametrize("is_own", [False, True], ids=["temporary", "own"])
def test_old_runs_are_deleted_from_a_temporary_folder(tmp_path, is_own):
    """A demo may run for days without filling the disk; a folder that somebody has named keeps everything."""
    address, ports_file = "127.0.0.1:0", tmp_path / "ports.json"
    command = bridge_command(tmp_path, address, address, tmp_path if is_own else None, ports_file)

    flags = list(itertools.pairwise(command))
    assert (("--sessions-keep", str(SESSIONS_KEPT)) in flags) is not is_own


def test_an_attached_process_ends_with_the_other_end_of_its_pipe(tmp_path):
    """In order, by SIGTERM to itself; it removes the folder, which nobody else is left to do."""
    folder = tmp_path / "folder"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge.demo.attached", str(folder), "serve",
         *("--grpc-address", "127.0.0.1:0"), *("--http-address", "127.0.0.1:0"),
         *("--state", str(folder / "state")), *("--ports-file", str(folder / "ports.json"))],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip  # flags beside their values
    try:
        until_true((folder / "ports.json").exists, seconds=60)
        process.stdin.close()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert not folder.exists()


def test_a_bridge_that_is_not_ours_is_not_watched():
    """Whether it is alive is for those who run it: the loop trains on without it."""
    RunningBridge("127.0.0.1:1", "http://127.0.0.1:2").check_alive()
