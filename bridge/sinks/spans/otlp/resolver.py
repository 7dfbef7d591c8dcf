"""Resolves host names without holding up the end of the process when DNS hangs."""

import socket
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

from bridge.threads import run_in_daemon_thread


class DaemonResolver(AbstractResolver):
    """Asks the system's resolver in a daemon thread: a loop waits at its end for those of its own."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host; raises OSError for an unknown one."""
        ask = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        found = await run_in_daemon_thread(ask, name=f"resolve {host}")
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""
