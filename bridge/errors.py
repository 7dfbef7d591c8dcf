"""The exceptions of the bridge, by who must act."""


class BridgeError(Exception):
    """Base of all; the text may be shown to whoever made the request."""


class InvalidDataError(BridgeError):
    """The sender must change the message; the text names field and reason."""

    def __init__(
        self,
        message: str,
        *,
        sequence: int = 0,
        session_id: str = "",
        is_unreadable: bool = False,
    ) -> None:
        """Raise for the message with a sequence; 0: it has none, or could not be decoded."""
        super().__init__(message)
        self.sequence = sequence
        self.session_id = session_id
        """The session that the sequence belongs to; "" where the sequence itself is not valid."""
        self.is_unreadable = is_unreadable
        """The message could not be decoded, so that its sequence is unknown."""


class FrameLimitError(BridgeError):
    """The sender must send the rest of a frame again, in smaller frames."""


class SequenceGapError(BridgeError):
    """The sender must send again from the sequence `expected` on."""

    def __init__(self, message: str, *, expected: int) -> None:
        """Raise for a sequence other than the `expected` one."""
        super().__init__(message)
        self.expected = expected


class UnknownSessionError(BridgeError):
    """The sender must register the session first."""


class ForeignSessionError(BridgeError):
    """Another client instance holds the session, or a stream has not proved that its client registered."""

    def __init__(self, message: str, *, retry_after_seconds: float = 0.0) -> None:
        """Raise with the time after which a registration may succeed; 0: that is not to be expected."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnauthenticatedError(BridgeError):
    """The client must show credentials that are known here; the text says why those it has shown are not."""


class PermissionDeniedError(BridgeError):
    """The client is known, and may not do this; the text says what it would need."""


class LimitError(BridgeError):
    """The sender may retry later; the text names the limit that was reached."""


class OverloadedError(BridgeError):
    """The sender must wait `retry_after_ms` and send the same again."""

    def __init__(self, message: str, *, retry_after_ms: int) -> None:
        """Raise for something that is full, with the time until a retry."""
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class SessionRunningError(BridgeError):
    """The request must wait until the session has ended."""


class NotFoundError(BridgeError):
    """What was requested does not exist here."""


class ImageAwayError(NotFoundError):
    """An image lies on the disk of another bridge, which does not answer: a later request may find it."""

    def __init__(self, bridge_id: str) -> None:
        """Raise with the name of the bridge."""
        super().__init__(f"this image is on bridge {bridge_id}, which does not answer")
        self.bridge_id = bridge_id


class ImageLostError(NotFoundError):
    """An image lay on the disk of a bridge that is gone; it is back only if that comes back with its disk."""

    def __init__(self, bridge_id: str) -> None:
        """Raise with the name of the bridge."""
        super().__init__(
            f"this image is lost: it was on the disk of bridge {bridge_id}, which is gone"
        )
        self.bridge_id = bridge_id


class SettingError(BridgeError):
    """The operator must change a setting; the text names it, and what to give instead."""


class IssuerError(BridgeError):
    """The issuer of tokens cannot be used; the text says why, and what the operator may change. A retry may help."""


class StorageError(BridgeError):
    """A store failed; a retry may help."""


class DatabaseAwayError(StorageError):
    """The database that bridges share does not answer, or takes no commits: a retry helps once it does; the text says what to check."""

    def __init__(self, message: str, *, is_certain: bool = False) -> None:
        """Raise with whether the server itself was seen to fail, and not just one connection."""
        super().__init__(message)
        self.is_certain = is_certain


class CommitsForgottenError(StorageError):
    """The database has gone back to an earlier moment: a retry helps, with all that is in memory, which it may lack."""


class DatabaseLostError(StorageError):
    """The operator must put the database back, or restart the bridge: the file was removed or replaced."""


class BridgeReplacedError(DatabaseLostError):
    """The operator must start the bridge again, with a spool folder of its own: another one has its place by now."""


class UnwritableError(StorageError):
    """Nobody can help: the database cannot hold a value, and a retry will not change that."""


def loggable(error: Exception) -> str:
    """Return what a log may show of an error: the sentences of our own stores, and of others only the type."""
    return str(error) if isinstance(error, StorageError) else type(error).__name__
