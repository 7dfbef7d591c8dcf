"""What a Prometheus is asked over HTTP, and what the variables of a board make of its answers."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

Ask = Callable[[str, Mapping[str, Any]], Any]
"""Returns the data that Prometheus answers to a path and its parameters; raises QuestionError."""

NAMED_GROUP = re.compile(r"\(\?<(?![=!])")
"""How a regular expression of JavaScript names a group."""


class QuestionError(Exception):
    """Prometheus refuses a query, or does not answer; the text says what it says."""


def asking(url: str) -> Ask:
    """Return what asks the Prometheus at an address."""

    def ask(path: str, parameters: Mapping[str, Any]) -> Any:
        words = urllib.parse.urlencode(parameters)
        address, body = f"{url.rstrip('/')}/api/v1/{path}", words.encode()
        if path.startswith("label/"):
            address, body = f"{address}?{words}", None
        try:
            with urllib.request.urlopen(address, body, timeout=60) as response:  # noqa: S310 -- http, given by whoever looks
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise QuestionError(f"{path} {dict(parameters)}: {text}") from error
        except OSError as error:
            raise QuestionError(f"no Prometheus answers at {url}: {error}") from error

    return ask


def as_text(sample: Mapping[str, Any]) -> str:
    """Return a sample as query_result() gives it to the regular expression of a variable."""
    labels = dict(sorted(sample["metric"].items()))
    name = labels.pop("__name__", "")
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    at, value = sample["value"]
    return f"{name}{{{inside}}} {value} {round(float(at) * 1000)}"


def selected(regex: str, text: str) -> str | None:
    """Return what the regular expression of a variable takes out of a text; None: it does not match, so it is not an option."""
    if not regex:
        return text
    found = re.search(NAMED_GROUP.sub("(?P<", regex.strip("/")), text)
    if found is None:
        return None
    return found.groupdict().get("value") or (found[1] if found.re.groups else text)
