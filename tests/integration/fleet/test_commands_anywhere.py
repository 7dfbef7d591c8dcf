"""Commands that any bridge takes, for a loop whose stream moves and whose bridge is killed."""

import threading
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import pytest
from support.fleet.member import running_pair
from support.proxy import proxying
from support.waiting import until_true

from bridge.client import BridgeClient, CommandType, TrainingSession
from bridge.client.query_errors import QueryError

CHANGE = CommandType.CHANGE_LEARNING_RATE
COMMANDS = 24
KILLS = (7, 15)
"""Before which commands the bridge that has the session is killed."""

MOVES = (3, 11, 19)
"""Before which commands the stream moves."""


class Training:
    """A loop that goes on until it is ended, in a thread."""

    def __init__(self, address):
        """Stream to an address, behind which bridges come and go."""
        self.optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
        self._address = address
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @contextmanager
    def running(self):
        """Train until the block is left."""
        self._thread.start()
        try:
            yield self
        finally:
            self._ending.set()
            self._thread.join()

    def _run(self):
        with TrainingSession(self._address, session_id="run", model="net") as session:
            session.controls(optimizer=self.optimizer)
            for _ in session.track(range(1_000_000), epochs=1):
                session.log_batch(0.5)
                if self._ending.wait(0.02):
                    break


class Pair:
    """Two bridges on one database, and a proxy that leads the loop to one of them."""

    def __init__(self, stack, folder, url):
        self.members = stack.enter_context(running_pair(folder, url, "--bridge-dead-seconds", "5"))
        self.home = 0
        self.proxy = stack.enter_context(proxying(self.members[0].server.grpc))

    @property
    def clients(self):
        """What reads each bridge."""
        return [
            BridgeClient(f"http://{one.server.http}", timeout_seconds=10) for one in self.members
        ]

    def move(self):
        """Lead the loop to the other bridge."""
        self.home = 1 - self.home
        self.proxy.lead_to(self.members[self.home].server.grpc)

    def kill(self):
        """Kill the bridge that the loop streams to, and lead the loop to the other one while it restarts."""
        killed = self.members[self.home]
        killed.kill()
        self.move()
        killed.start()


@pytest.fixture
def pair(tmp_path, postgres_url):
    """Two bridges that run."""
    with ExitStack() as stack:
        yield Pair(stack, tmp_path, postgres_url)


def send(client, number):
    """Submit a command until a bridge has said that it is queued, as somebody does who retries with the same id."""

    def is_taken():
        try:
            client.submit_command(
                "run", CHANGE, {"learning_rate": rate(number)}, command_id=f"command-{number}"
            )
        except (QueryError, OSError):
            return False
        return True

    until_true(is_taken, what=f"command {number} is taken")


def rate(number):
    """Return the learning rate of a command: no two have the same."""
    return 0.5 / (1 + number)


def states(client):
    """Return the state of each command that a bridge lists, in its sequence."""
    try:
        return [(one.command_id, str(one.state)) for one in client.commands("run")]
    except (QueryError, OSError):
        return []


def test_commands_reach_a_loop_that_another_bridge_has(pair):
    """Whichever bridge is asked shows the command, and the answer of the loop."""
    with Training(pair.proxy.address).running() as training:
        until_true(pair.clients[0].sessions)
        other = pair.clients[1]
        send(other, 0)

        until_true(lambda: training.optimizer.param_groups[0]["lr"] == rate(0))
        for client in pair.clients:
            until_true(lambda client=client: states(client) == [("command-0", "applied")])


def test_none_is_lost_and_none_is_doubled(pair):
    """Each command that a bridge has taken is carried out once, and in sequence, though streams move and bridges die."""
    with Training(pair.proxy.address).running() as training:
        until_true(pair.clients[0].sessions)
        for number in range(COMMANDS):
            if number in MOVES:
                pair.move()
            if number in KILLS:
                pair.kill()
            send(pair.clients[number % 2], number)
        expected = [(f"command-{number}", "applied") for number in range(COMMANDS)]
        for client in pair.clients:
            until_true(lambda client=client: states(client) == expected)

        until_true(lambda: training.optimizer.param_groups[0]["lr"] == rate(COMMANDS - 1))
