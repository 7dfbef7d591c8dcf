"""Commands and alerts for sessions that other bridges have: they reach these through the database."""

from bridge.inbox.command_messages import COMMAND, command_receiver
from bridge.inbox.delivery import InboxDelivery, MessageReceiver
from bridge.inbox.session_inbox import SessionInbox

__all__ = ["COMMAND", "InboxDelivery", "MessageReceiver", "SessionInbox", "command_receiver"]
