"""Tries a fleet as long and as hard as wanted, prints what holds, and exits with 1 where something does not: `make campaign`."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from support.fleet import faults
from support.fleet.campaign import run_campaign
from support.fleet.fleet import running_fleet
from support.fleet.verdict import Limits, table, violations

FAULTS: dict[str, Callable] = {
    "kills": faults.kills,
    "moves": faults.moves,
    "upgrades": faults.upgrades,
    "lost-nodes": faults.lost_nodes,
    "resets": lambda every: faults.cuts(every, silent=False),
    "silence": lambda every: faults.cuts(every, silent=True),
    "freezes": faults.freezes,
    "failover": faults.failover,
}


def main() -> int:
    """Run one campaign; by default a bridge of three is killed every ten seconds for ten minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--bridges", type=int, default=3)
    parser.add_argument("--sdk", type=int, default=50, help="sessions of the SDK")
    parser.add_argument("--original", type=int, default=50, help="clients of the original protocol")
    parser.add_argument("--rate", type=float, default=2.0, help="batches a second of each")
    parser.add_argument("--images-every", type=int, default=20, help="batches; 0: no images")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=["kills"])
    parser.add_argument(
        "--every", type=float, default=10.0, help="seconds between two faults of a kind"
    )
    parser.add_argument(
        "--folder", type=Path, help="keeps all logs; by default they go with the end"
    )
    options = parser.parse_args()
    sys.stdout.write(
        f"{' '.join(options.faults)} for {options.seconds:g} s; then all clients end, and everything is compared (minutes)\n"
    )
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="campaign-") as temporary:
        folder = options.folder or Path(temporary)
        with running_fleet(folder, options.bridges, standby="failover" in options.faults) as fleet:
            campaign, lines = run_campaign(
                fleet,
                folder,
                [FAULTS[name](options.every) for name in options.faults],
                seconds=options.seconds,
                sdk=options.sdk,
                original=options.original,
                rate=options.rate,
                images_every=options.images_every,
                limits=Limits(keeps_disks="lost-nodes" not in options.faults),
            )
    sys.stdout.write(
        f"{campaign.faults} faults in {options.seconds:g} s, {options.bridges} bridges,"
        f" {options.sdk} sessions of the SDK, {options.original} original clients\n{table(lines)}\n"
    )
    return 1 if violations(lines) else 0


if __name__ == "__main__":
    sys.exit(main())
