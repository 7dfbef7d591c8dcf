"""What can go wrong, by who must act."""


class BridgeError(Exception):
    """Anything the bridge refuses; its text may be shown to whoever asked."""


class InvalidDataError(BridgeError):
    """The sender must change the message; the text names field and reason."""

    def __init__(self, message: str, *, sequence: int = 0) -> None:
        """Say what is wrong, and with which message; 0: it has no number, or could not be read."""
        super().__init__(message)
        self.sequence = sequence


class UnknownSessionError(BridgeError):
    """The sender must register the session first."""


class ForeignSessionError(BridgeError):
    """Another client instance holds the session."""


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
