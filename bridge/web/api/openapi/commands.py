"""Commands to training loops, for the OpenAPI document."""

from bridge.commands import State
from bridge.protocol import CommandType
from bridge.web.api.commands import list_commands, post_command
from bridge.web.api.openapi.shapes import (
    SESSION_IN_PATH,
    SESSION_NAME,
    Operation,
    Schema,
    by_name,
    choice,
    flag,
    many,
    maybe,
    real,
    record,
    ref,
    text,
    url,
    whole,
)
from bridge.web.command_request import (
    COMMAND_ID,
    LONGEST_SECONDS,
    MAX_NAME_LENGTH,
    MAX_PARAMETERS,
    MAX_VALUE_LENGTH,
    PARAMETER_NAME,
)

TYPES = [one.name for one in CommandType]

COMMAND_FIELDS = {
    "command_id": text(),
    "session_id": SESSION_NAME,
    "type": choice(TYPES),
    "parameters": by_name(text()),
    "sent_by": maybe(text(), "Who sent it, and from where."),
    "asked_at": real("Seconds since 1970."),
    "expires_at": maybe(real(), "Seconds since 1970; null: it waits as long as the run lasts."),
    "answered_at": maybe(real(), "Seconds since 1970."),
    "state": choice(State),
    "note": maybe(text(), "Why there is no answer, where that is known."),
    "result": maybe(
        record(applied=flag(), message=maybe(text()), epoch=whole(), batch=whole()),
        "What the loop has answered.",
    ),
}

SUBMITTED = record("A command that was queued.", **COMMAND_FIELDS, watch=url("Where to follow it."))

COMMAND_REQUEST: Schema = {
    "description": "A command. `type` may be in lower case.",
    "type": "object",
    "properties": {
        "type": choice(TYPES),
        "parameters": {
            "type": "object",
            "description": "CHANGE_LEARNING_RATE needs learning_rate, ADJUST_BATCH_SIZE batch_size.",
            "maxProperties": MAX_PARAMETERS,
            "propertyNames": {"pattern": f"^{PARAMETER_NAME.pattern}$"},
            "additionalProperties": {
                "anyOf": [
                    {"type": ["number", "boolean"]},
                    text(minLength=1, maxLength=MAX_VALUE_LENGTH),
                ]
            },
        },
        "command_id": text(
            "Submitting the same command twice under one id submits it once.",
            pattern=f"^({COMMAND_ID.pattern})?$",
        ),
        "by": maybe(text(maxLength=MAX_NAME_LENGTH), "Who asks, such as alice@laptop."),
        "expires_in_seconds": maybe(
            real(exclusiveMinimum=0, maximum=LONGEST_SECONDS),
            "After which it is not sent any more; without it, the command waits as long as the run lasts.",
        ),
    },
    "required": ["type"],
    "additionalProperties": False,
}

SCHEMAS = {
    "Command": record("A command, and what has become of it.", **COMMAND_FIELDS),
    "SubmittedCommand": SUBMITTED,
    "CommandRequest": COMMAND_REQUEST,
}

OPERATIONS = {
    post_command: Operation(
        "Commands",
        "Submit a command to a training loop",
        {202: "The command is queued, or was already."},
        ref("SubmittedCommand"),
        parameters=(SESSION_IN_PATH,),
        body=ref("CommandRequest"),
        errors=(400, 404, 408, 409, 413, 415, 429),
        headers={"Location": "Where to follow the command."},
    ),
    list_commands: Operation(
        "Commands",
        "List the commands of a session, oldest first",
        {200: "The commands."},
        record(commands=many(ref("Command"))),
        parameters=(SESSION_IN_PATH,),
        errors=(404,),
    ),
}
