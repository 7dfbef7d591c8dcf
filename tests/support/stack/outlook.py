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

HANGS = "\nThe run hangs after a few seconds. TrainingStalled fires {when}.\n"

DIVERGES = (
    "\nThe loss of the run jumps after {jump} and stays high. TrainingDiverging fires {when}.\n"
)

PAUSES = "It pauses the run: see its page, and resume it there.\n"


def outlook(options, images):
    """Return where everything is, and what to expect."""
    urls = options.addresses.as_urls()
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
        trouble=_trouble(options),
    )


def _trouble(options):
    """Return what goes wrong, and when its alert fires."""
    is_quick = options.has_quick_alerts
    if "--hang" in options.demo:
        return HANGS.format(when="in a quarter of a minute" if is_quick else "after six minutes")
    if "--diverge" in options.demo:
        jump, when = (
            ("a minute", "within another one")
            if is_quick
            else ("twelve minutes", "ten minutes later")
        )
        return DIVERGES.format(jump=jump, when=when) + (PAUSES if options.pauses else "")
    return ""


def _table(rows):
    width = max(map(len, rows))
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows.items())
