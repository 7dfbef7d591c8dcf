"""Attributes of a resource, as OTEL_RESOURCE_ATTRIBUTES has them."""

from urllib.parse import unquote


def split_attributes(text: str) -> dict[str, str]:
    """Return the attributes of "name=value,name=value"; names and values are percent-encoded.

    Raises ValueError for anything else: one error discards all of it, as the specification asks
    (OpenTelemetry, "Resource SDK", "Specifying resource information via an environment variable").
    """
    attributes = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (unquote(part.strip()) for part in pair.partition("="))
        if not equals or not name:
            raise ValueError("which is not name=value,name=value")
        attributes[name] = value
    return attributes
