"""One bridge of a fleet: killed, stopped and started again at the same addresses, cut off from its database and healed."""

import os
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.bridges import RunningBridge, launched
from support.fleet.haproxy import Server
from support.ports import free_port
from support.proxy import Proxy

STOP_SECONDS = 60


class Member:
    """A place for a bridge: a name, two ports, a folder, a way to the database; the process in it comes and goes."""

    def __init__(
        self,
        name: str,
        folder: Path,
        flags: Sequence[str],
        *,
        state: str = "",
        ways: Sequence[Proxy] = (),
    ) -> None:
        """Start nothing yet; `state`: the URL of the database, whose servers `ways` lead to; "": a folder of its own."""
        self.name = name
        self.folder = folder
        self.ways = ways
        self.bridge: RunningBridge | None = None
        """The bridge while it is ready and nothing has been done to it."""
        self.started = 0
        """Processes so far."""
        self.nodes = 1
        """Disks so far: with each new one it is another bridge."""
        self.being_tried = threading.Lock()
        """Held by whoever ends and starts its process: faults that go on side by side."""
        self._flags = flags
        self._state = state
        self._grpc, self._http = free_port(), free_port()
        self._launched = ExitStack()
        self._launch = None

    @property
    def server(self) -> Server:
        """What HAProxy has to know."""
        return Server(self.name, f"127.0.0.1:{self._grpc}", f"127.0.0.1:{self._http}")

    @property
    def disk(self) -> Path:
        """The folder that survives its process: its spool, or all of its state."""
        return self.folder / f"node-{self.nodes}"

    @property
    def log(self) -> Path:
        """What all of its processes have logged."""
        return self.folder / f"{self.disk.name}.log"

    def logs(self) -> list[Path]:
        """Return the logs of all the nodes that it has had."""
        return sorted(self.folder.glob("node-*.log"))

    def launch(self) -> None:
        """Start a process, and do not wait for it."""
        assert self._launch is None, f"{self.name} runs"
        shared = ("--state", self._state, "--spool-folder", str(self.disk)) if self._state else ()
        addresses = ("--grpc-address", self.server.grpc, "--http-address", self.server.http)
        peer = ("--peer-url", f"http://{self.server.http}") if self._state else ()
        # A flag that is given twice has its last value.
        flags = (*addresses, *shared, *peer, *self._flags)
        self._launch = self._launched.enter_context(launched(self.disk, *flags))
        self.started += 1

    def ready(self) -> RunningBridge:
        """Wait until the process that was launched is ready."""
        self.bridge = self._launch.ready()
        return self.bridge

    def start(self) -> RunningBridge:
        """Start a process, and wait until it is ready."""
        self.launch()
        return self.ready()

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.bridge = None
        self._launch.process.kill()
        self._forget()

    def stop(self) -> int:
        """Ask it to stop (SIGTERM), and return its exit status."""
        self.bridge = None
        self._launch.process.send_signal(signal.SIGTERM)
        status = self._launch.process.wait(STOP_SECONDS)
        self._forget()
        return status

    def freeze(self) -> None:
        """Stop it where it stands (SIGSTOP): connections stay open, and nothing answers."""
        self.bridge = None
        self._launch.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._launch.process.send_signal(signal.SIGCONT)
        self.ready()

    def lose_node(self) -> None:
        """Kill it and take its disk away: what is started next is another bridge."""
        self.kill()
        self.nodes += 1

    def cut(self, *, silent: bool) -> None:
        """Cut it off from the database: `silent` drops what is sent, otherwise connections are reset and refused."""
        for way in self.ways:
            (way.freeze if silent else way.refuse)()

    def heal(self) -> None:
        """Give it the database back; what was dropped silently does not come after all."""
        for way in self.ways:
            way.cut()
            way.pass_on()

    def cpu_seconds(self) -> float:
        """Return the CPU time that the process has used, 0 where there is none."""
        if self._launch is None:
            return 0.0
        try:
            fields = Path(f"/proc/{self._launch.process.pid}/stat").read_text().split()
        except OSError:
            return 0.0
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it, however it is."""
        self.bridge = None
        if self._launch is not None:
            self._launch.process.send_signal(signal.SIGCONT)
        self._forget()

    def _forget(self) -> None:
        self._launched.close()
        self._launch = None


@contextmanager
def running_pair(folder: Path, state: str, *flags: str):
    """Run two bridges on one database, with one store; yield both."""
    store = ("--images-store", (folder / "store").as_uri())
    with ExitStack() as stack:
        members = [
            Member(name, folder / name, (*flags, *store), state=state) for name in ("one", "two")
        ]
        for member in members:
            member.folder.mkdir()
            stack.callback(member.close)
            member.start()
        yield members
