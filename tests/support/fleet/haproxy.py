"""A real HAProxy before several bridges, which passes on TCP connections and knows nothing of what is on them."""

import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from support.ports import free_port
from support.tools import tool
from support.waiting import until_true

STOP_SECONDS = 30

CONFIGURATION = """\
global
  stats socket {socket} mode 600 level admin
  stats timeout 1m
  maxconn 4000
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout check 1s
  retries 3
  option redispatch 1
  balance leastconn
  option httpchk GET /readyz
  default-server check inter 250ms fastinter 100ms fall 2 rise 1 on-marked-down shutdown-sessions
"""
"""A bridge that does not answer for two seconds gets no new connection, and loses those it has."""


class Server(NamedTuple):
    """A bridge as HAProxy sees it: where it serves gRPC and HTTP, host:port each."""

    name: str
    grpc: str
    http: str


@dataclass(frozen=True)
class HaProxy:
    """One that runs."""

    grpc: str
    http: str
    socket: Path

    def command(self, text: str) -> str:
        """Give it a command over its runtime socket; return what it answers."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(STOP_SECONDS)
            connection.connect(str(self.socket))
            connection.sendall(f"{text}\n".encode())
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts).decode().strip()

    def close_streams(self, name: str) -> None:
        """Close every gRPC connection to a bridge at once; their clients come back to whichever bridge has fewest."""
        answer = self.command(f"shutdown sessions server grpc/{name}")
        assert not answer, answer

    def is_up(self, name: str) -> bool:
        """Return whether a bridge gets connections."""
        rows = [line.split(",") for line in self.command("show stat").splitlines()]
        status = rows[0].index("status")
        return any(row[:2] == ["grpc", name] and row[status].startswith("UP") for row in rows)


@contextmanager
def running_haproxy(folder: Path, servers: Sequence[Server]):
    """Run one until the block ends; its configuration is checked by itself first."""
    ports = {"grpc": free_port(), "http": free_port()}
    file, control = folder / "haproxy.cfg", folder / "haproxy.sock"
    file.write_text(configuration(control, ports, servers))
    program = tool("haproxy")
    checked = subprocess.run(
        [program, "-c", "-f", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    with (
        (folder / "haproxy.log").open("ab") as log,
        subprocess.Popen([program, "-db", "-f", file], stdout=log, stderr=log) as process,
    ):
        addresses = {door: f"127.0.0.1:{port}" for door, port in ports.items()}
        proxy = HaProxy(addresses["grpc"], addresses["http"], control)
        try:
            until_true(
                lambda: control.exists() or process.poll() is not None, what="HAProxy listens"
            )
            assert process.poll() is None, (folder / "haproxy.log").read_text()
            yield proxy
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def configuration(control: Path, ports: Mapping[str, int], servers: Sequence[Server]) -> str:
    """Return what HAProxy reads: a port for gRPC and one for HTTP, both lead to all bridges that are ready."""
    lines = [CONFIGURATION.format(socket=control)]
    for door, port in ports.items():
        lines += [
            f"frontend {door}-in\n  bind 127.0.0.1:{port}\n  default_backend {door}",
            f"backend {door}",
        ]
        for server in servers:
            address = server.grpc if door == "grpc" else server.http
            lines.append(f"  server {server.name} {address} port {server.http.rpartition(':')[2]}")
    return "\n".join(lines) + "\n"
