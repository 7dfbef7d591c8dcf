"""What a stream must show to speak for a session: that its client has registered it."""

import hmac
import secrets
from hashlib import sha256

TOKENS_KEPT = 8
"""Registering again changes nothing, so a stream opened just before it is still good.

Eight, since a client registers once for each stream, and a stream shows its token only once, when it
begins: one that is open goes on whatever is registered after it.
"""

HOSTS_KEPT = 16
"""Hosts that a session without client_instance_id may be registered from."""


class StreamProof:
    """The tokens of the last registrations of a session, and the hosts that they came from."""

    __slots__ = ("hosts", "token_hashes")

    def __init__(self, token_hashes: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> None:
        """Start with what is known."""
        self.token_hashes = token_hashes
        """Of what a stream must show one of, as SHA-256 in hex: one for each of the last registrations."""
        self.hosts = hosts
        """Where a client that does not name itself has registered from; empty where that is not known."""

    def issue_token(self) -> str:
        """Return what streams of this registration show; those of the last ones stay valid."""
        token = secrets.token_urlsafe(24)
        self.token_hashes = (*self.token_hashes, hash_of(token))[-TOKENS_KEPT:]
        return token

    def accepts_token_hash(self, token_hash: str) -> bool:
        """Return whether a stream has shown the token of one of the last registrations."""
        matches = [hmac.compare_digest(known, token_hash) for known in self.token_hashes]
        return any(matches)

    def add_host(self, host: str) -> None:
        """Let streams come from a host that the session was registered from."""
        if host and host not in self.hosts:
            self.hosts = (*self.hosts, host)[-HOSTS_KEPT:]


def hash_of(token: str) -> str:
    """Return what is kept of a token: SHA-256 in hex. The token is random and long, so it needs no salt."""
    return sha256(token.encode(errors="replace")).hexdigest()
