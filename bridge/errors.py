"""What can go wrong, by who must act."""


class BridgeError(Exception):
    """Anything the bridge refuses; its text may be shown to whoever asked."""


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
        """Say what is wrong, and with which message; 0: it has no number, or could not be read."""
        super().__init__(message)
        self.sequence = sequence
        self.session_id = session_id
        """The session that the sequence belongs to; "" where the sequence itself is not valid."""
        self.is_unreadable = is_unreadable
        """The message could not be decoded, so that nobody knows which one it was."""


class FrameLimitError(BridgeError):
    """The sender must send the rest of a frame again, in smaller frames."""


class SequenceGapError(BridgeError):
    """The sender must send again from the sequence `expected` on."""

    def __init__(self, message: str, *, expected: int) -> None:
        """Say what came, and which sequence is the next."""
        super().__init__(message)
        self.expected = expected


class UnknownSessionError(BridgeError):
    """The sender must register the session first."""


class ForeignSessionError(BridgeError):
    """Another client instance holds the session, or a stream has not proved that its client registered."""


class LimitError(BridgeError):
    """The sender may come back later; the text says which limit was met."""


class OverloadedError(BridgeError):
    """The sender must wait `retry_after_ms` and send the same again."""

    def __init__(self, message: str, *, retry_after_ms: int) -> None:
        """Say what is full, and when to come back."""
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class NotFoundError(BridgeError):
    """What was asked for does not exist here."""


class SettingError(BridgeError):
    """The operator must change a setting; the text says which, and to what."""


class StorageError(BridgeError):
    """A store did not do what it was asked; trying again may help."""


class DatabaseLostError(StorageError):
    """The operator must put the database back, or start the bridge again: it is not where it was."""


class UnwritableError(StorageError):
    """Nobody can help: the database cannot hold a value, however often it is tried."""
