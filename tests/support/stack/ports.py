"""Where the parts of the stack listen: at their usual ports, or at free ones."""

import socket
from dataclasses import asdict, dataclass

from support.ports import free_port
from support.stack.programs import StackError

FIXED = {"grpc": 50051, "bridge": 8080, "prometheus": 9090, "alertmanager": 9093}
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Addresses:
    """host:port of every server."""

    grpc: str
    bridge: str
    prometheus: str
    alertmanager: str

    def as_urls(self):
        """Return them by name: URLs, and host:port for telemetry."""
        return {
            name: address if name == "grpc" else f"http://{address}"
            for name, address in asdict(self).items()
        }


def addresses_of(*, are_free):
    """Return the addresses; raises StackError if another program has one of the usual ports."""
    ports = {name: free_port() for name in FIXED} if are_free else FIXED
    for port in ports.values():
        _check_free(port)
    return Addresses(**{name: f"{HOST}:{port}" for name, port in ports.items()})


def _check_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StackError(
                f"port {port} is taken: another stack, a demo or some other program is running there; stop it, or"
                ' choose free ports: make stack arguments="--free-ports"'
            ) from error
