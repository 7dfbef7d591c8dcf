"""The addresses that links of alerts begin with, and how they come into a text that leaves them open."""

import re
from dataclasses import dataclass

RUNBOOK = "docs/operations.md"
"""The page with a heading for each alert, in the repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """What is known of an installation; "": not known."""

    public_url: str = ""
    """Where the pages of every session are. Where it is not known, links lead to the bridge that has the session."""
    grafana_url: str = ""
    runbook_url: str = ""
    """Where a reader finds RUNBOOK; headings are appended as #alertname."""


PLACEHOLDERS = {
    "public_url": "PUBLIC_URL",
    "grafana_url": "GRAFANA_URL",
    "runbook_url": "RUNBOOK_URL",
}
"""How a text names an address that is left open; the chart fills in the same ones."""


def known(name: str) -> str:
    """Return what ends a line that stands only where an address is known."""
    return f" # with {PLACEHOLDERS[name]}"


def unknown(name: str) -> str:
    """Return what ends a line that stands only where it is not."""
    return f" # without {PLACEHOLDERS[name]}"


def fill(text: str, addresses: Addresses) -> str:
    """Return a text with the lines that hold for these addresses, and the addresses in their places."""
    for name, placeholder in PLACEHOLDERS.items():
        url = getattr(addresses, name)
        kept, dropped = (known(name), unknown(name)) if url else (unknown(name), known(name))
        text = re.sub(rf"(?m)^.*{dropped}\n", "", text)
        text = text.replace(kept, "").replace(placeholder, url)
    return text
