"""What a reader of the terminal is shown when the stack is up."""

from support.tools import ROOT

TEXT = """
Everything is up. A small network learns to read handwritten digits; once a minute its loss jumps.

{places}

In a Grafana of your own, on this machine: add a Prometheus data source with the URL {prometheus},
and import the boards from {boards}.
{trouble}
Ctrl-C ends all of it.
"""

TROUBLE = {
    "--hang": "\nThe run hangs after a few seconds. TrainingStalled fires {when}.\n",
    "--diverge": "\nThe loss of the run jumps after half a minute and stays high. TrainingDiverging fires after some minutes.\n",
}


def outlook(options, images):
    """Return where everything is, and what to expect."""
    urls = options.addresses.as_urls()
    when = "in a quarter of a minute" if options.has_quick_alerts else "after six minutes"
    trouble = [text.format(when=when) for flag, text in TROUBLE.items() if flag in options.demo]
    places = {
        f"{urls['bridge']}/": "sessions, their images and commands",
        urls["grpc"]: "telemetry: your own loop may stream to it",
        f"{urls['prometheus']}/targets": "what Prometheus scrapes",
        f"{urls['prometheus']}/alerts": "the alert rules, and what fires",
        f"{urls['alertmanager']}/": "Alertmanager, which also sends alerts to the bridge",
        "images": images,
        "logs": options.folder / "logs",
    }
    return TEXT.format(
        places=_table(places),
        prometheus=urls["prometheus"],
        boards=ROOT / "grafana" / "dashboards",
        trouble="".join(trouble),
    )


def _table(rows):
    width = max(map(len, rows))
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows.items())
