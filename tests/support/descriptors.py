"""Read protobuf descriptors as the words a .proto file uses."""

SCALARS = {1: "double", 2: "float", 4: "uint64", 5: "int32", 8: "bool", 9: "string", 12: "bytes", 13: "uint32"}  # fmt: skip  # a list of values
"""The names of the types, by descriptor.proto's numbers; those this protocol has."""


def fields_of(message):
    """Return {name: (number, type)}, the type as in `repeated ImageData` or `optional float`."""
    return {field.name: (field.number, _type(field)) for field in message.fields}


def enums_of(file):
    """Return {name: {value: number}} of every enum, nested ones as Message.Enum."""
    found = dict(file.enum_types_by_name.items())
    for message in file.message_types_by_name.values():
        for enum in message.enum_types:
            found[f"{message.name}.{enum.name}"] = enum
    return {
        name: {value.name: value.number for value in enum.values} for name, enum in found.items()
    }


def methods_of(service):
    """Return {name: (request, response)}, a stream as in `stream MetricsRequest`."""
    return {
        method.name: (
            f"{'stream ' if method.client_streaming else ''}{method.input_type.name}",
            f"{'stream ' if method.server_streaming else ''}{method.output_type.name}",
        )
        for method in service.methods
    }


def _type(field):
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields
        return f"map<{_type(key)}, {_type(value)}>"
    kind = field.enum_type or field.message_type
    name = kind.name if kind else SCALARS[field.type]
    if field.is_repeated:
        return f"repeated {name}"
    if field.has_presence and _is_optional(field):
        return f"optional {name}"
    return name


def _is_optional(field):
    """Return whether the file says `optional`: proto3 keeps that as a oneof of one."""
    oneof = field.containing_oneof
    return oneof is not None and oneof.name == f"_{field.name}"
