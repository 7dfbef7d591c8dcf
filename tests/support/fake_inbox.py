"""The inbox of bridges that share a database, without a database."""

from bridge.inbox.command_messages import command_of, message_of


class FakeInbox:
    """An inbox in memory."""

    def __init__(self):
        self.messages = []
        self.error = None
        self.is_lost = False
        """Whether another bridge has taken what is in memory here."""
        self.on_catch_up = None

    async def submit(self, session, command):
        message = message_of(command, session.attempt)
        await self.pass_on(message)
        return command_of(next(one for one in self.messages if one[:2] == message[:2]))[0]

    async def pass_on(self, message):
        if self.error:
            raise self.error
        if not any(one[:2] == message[:2] for one in self.messages):
            self.messages.append(message)

    async def commands(self, session_id):
        if self.error:
            raise self.error
        return [
            command_of(one)[0]
            for one in self.messages
            if (one.session_id, one.kind) == (session_id, "command")
        ]

    async def catch_up(self):
        if self.on_catch_up:
            self.on_catch_up()

    async def is_kept(self, _session):
        return not self.is_lost
