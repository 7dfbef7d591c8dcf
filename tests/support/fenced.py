"""A transaction of a bridge from which another one has taken sessions."""

from dataclasses import dataclass


@dataclass
class FencedTransaction:
    """Passes on to a transaction, and owns what is named."""

    transaction: object
    owned: frozenset

    def owns(self, session_id):
        """Return whether this bridge may write a session."""
        return session_id in self.owned

    def __getattr__(self, name):
        """Do everything else as the transaction does."""
        return getattr(self.transaction, name)
