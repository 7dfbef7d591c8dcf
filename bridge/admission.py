"""Which stream may speak for which session."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bridge.access import ANYONE, Identity
from bridge.errors import ForeignSessionError, InvalidDataError
from bridge.protocol import TOKEN_HEADER
from bridge.session import Session

TOKENS_KNOWN = 20_000
"""Tokens of the last registrations, over all sessions."""

CONNECTIONS_KNOWN = 10_000
"""Connections of the last registrations, over all sessions."""

REFUSALS_KEPT = 1_000
"""Connections whose registration was refused, over all sessions."""

NO_TOKEN = (
    "this stream does not show the token of a registration of this session; register, and send"
    f" SessionResponse.stream_token as metadata {TOKEN_HEADER}"
)
OTHER_HOST = "this session was registered from another host; register it from here first"
REFUSED = "the registration that came over this connection was refused"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call, as far as the connection shows."""

    connection: str = ""
    """Address and port of the other end; "" where there are none, as with Unix sockets."""
    host: str = ""
    """Its address alone: all loopback addresses are one, and so are both forms of an IPv4 address."""
    token_hash: str = ""
    """Of the stream token it has sent, or ""."""
    identity: Identity = ANYONE
    """Whose credentials it has shown."""


UNKNOWN_CALLER = Caller()


class Admission:
    """Remembers whose registration was refused, and admits streams to sessions."""

    def __init__(self) -> None:
        """Start with nobody refused."""
        self._refused: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._tokens: OrderedDict[str, None] = OrderedDict()
        self._connections: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def noting_refusal(self, session_id: str, caller: Caller) -> Iterator[None]:
        """Remember that a registration over this connection was refused, if it is."""
        try:
            yield
        except (InvalidDataError, ForeignSessionError):
            self._note_refusal(session_id, caller)
            raise

    def _note_refusal(self, session_id: str, caller: Caller) -> None:
        if not caller.connection:
            return
        key = (session_id[:64], caller.connection)
        self._refused[key] = None
        self._refused.move_to_end(key)
        if len(self._refused) > REFUSALS_KEPT:
            self._refused.popitem(last=False)

    def note_registration(self, session_id: str, caller: Caller) -> None:
        """Remember that a registration came over this connection, and that it was not refused."""
        self._refused.pop((session_id, caller.connection), None)
        if caller.connection:
            self._connections[caller.connection] = None
            self._connections.move_to_end(caller.connection)
        if len(self._connections) > CONNECTIONS_KNOWN:
            self._connections.popitem(last=False)

    def note_tokens(self, session: Session) -> None:
        """Remember the tokens that streams of a session may show."""
        for token_hash in session.proof.token_hashes:
            self._tokens[token_hash] = None
            self._tokens.move_to_end(token_hash)
        while len(self._tokens) > TOKENS_KNOWN:
            self._tokens.popitem(last=False)

    def has_registered(self, caller: Caller) -> bool:
        """Return whether a caller shows a token of any registration, or uses the connection of one."""
        return caller.token_hash in self._tokens or caller.connection in self._connections

    def check_owned(self, session_id: str, caller: Caller) -> None:
        """Raise ForeignSessionError for a name outside of the caller's, whether or not there is such a session."""
        if not caller.identity.owns(session_id):
            raise ForeignSessionError(not_owned(caller.identity))

    def check(self, session: Session, caller: Caller) -> None:
        """Raise ForeignSessionError unless the session is one of the caller's, whose registration of it was accepted.

        A client that names itself proves it by its token. One that does not has nothing to show: its
        streams come from a host that the session was registered from, and not over a connection whose
        registration was refused.
        """
        self.check_owned(session.id, caller)
        if session.client.instance_id:
            if not session.proof.accepts_token_hash(caller.token_hash):
                raise ForeignSessionError(NO_TOKEN)
            return
        if (session.id, caller.connection) in self._refused:
            raise ForeignSessionError(REFUSED)
        hosts = session.proof.hosts
        if hosts and caller.host and caller.host not in hosts:
            raise ForeignSessionError(OTHER_HOST)


def not_owned(identity: Identity) -> str:
    """Return what to tell somebody about a session that is not one of theirs."""
    return (
        f"{identity.name} may only report sessions whose names begin with {identity.sessions!r}: name it so"
        " (the SDK puts TRAINBRIDGE_SESSION_PREFIX in front of names that it makes)"
    )
