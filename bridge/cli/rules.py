"""`trainbridge rules`."""

import argparse
import sys
from pathlib import Path

from bridge.alert_rules.addresses import Addresses
from bridge.alert_rules.grafana import DATASOURCE, grafana_text
from bridge.alert_rules.prometheus import operator_text, rules_text
from bridge.cli.exit_status import DONE
from bridge.cli.parsing import link_url
from bridge.errors import SettingError

FORMATS = ("prometheus", "operator", "grafana")

URLS = (
    (
        "--public-url",
        (
            "what links to pages and images begin with, such as a gateway before every bridge"
            " (default: the public_url of the bridge that has the session)"
        ),
    ),
    ("--grafana-url", "what links to boards begin with (default: no such links)"),
    (
        "--runbook-url",
        "where docs/operations.md can be read, for runbook_url (default: the name of that file, as runbook)",
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rules`."""
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="prometheus",
        help="a rule file of Prometheus, a PrometheusRule of its operator, or a file for Grafana's provisioning,"
        " which evaluates the alerts itself (default: %(default)s)",
    )
    for flag, meaning in URLS:
        parser.add_argument(flag, type=link_url, metavar="URL", help=meaning)
    parser.add_argument(
        "--datasource",
        metavar="UID",
        help=f"with --format grafana, the uid of the data source for Prometheus (default: {DATASOURCE})",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write this file (default: print it)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the rules or write them to a file; raises SettingError for a file that cannot be written."""
    text = _text(arguments)
    if arguments.output is None:
        sys.stdout.write(text)
        return DONE
    try:
        arguments.output.write_text(text)
    except OSError as error:
        raise SettingError(
            f"--output: {arguments.output} cannot be written: {error.strerror}; give a file in a folder that exists"
            " and can be written to"
        ) from error
    return DONE


def _text(arguments: argparse.Namespace) -> str:
    addresses = Addresses(
        public_url=arguments.public_url or "",
        grafana_url=arguments.grafana_url or "",
        runbook_url=arguments.runbook_url or "",
    )
    if arguments.datasource is not None and arguments.format != "grafana":
        raise SettingError("--datasource: only Grafana's rules name one; add --format grafana")
    if arguments.format == "grafana":
        return grafana_text(addresses, arguments.datasource or DATASOURCE)
    return operator_text(addresses) if arguments.format == "operator" else rules_text(addresses)
