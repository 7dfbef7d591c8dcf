"""Runs one target with inputs that a fuzzer makes, guided by which code they reach: `make fuzz`.

The inputs begin with those of the target's corpus. One that raises, takes longer than SECONDS_EACH or more memory than
MEMORY_MB ends the run, and is kept in build/fuzz/: mend the code, and add the input to the corpus.
"""

import argparse
import importlib
import sys
from pathlib import Path

import atheris

FOLDER = Path(__file__).parent
SECONDS_EACH = 30
MEMORY_MB = 2_048
LONGEST_BYTES = 8_192
INSTRUMENTED = ["bridge", "fuzz", "jwt"]
"""Without the parser of YAML, which would take a hundred times as long."""


def main() -> None:
    """Fuzz the target that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", help="the name of a file in tests/fuzz/targets")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    given, more = parser.parse_known_args()  # options of libFuzzer, such as -verbosity=1
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = importlib.import_module(f"fuzz.targets.{given.target}")
    kept = Path("build/fuzz", given.target)
    found = kept / "corpus"
    found.mkdir(parents=True, exist_ok=True)
    options = (
        f"-max_total_time={given.seconds}",
        f"-timeout={SECONDS_EACH}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={LONGEST_BYTES}",
        f"-artifact_prefix={kept}/",
        "-print_final_stats=1",
        "-verbosity=0",
        *more,
    )
    # New inputs go into the first folder; the corpus of the repository is only read.
    corpus = FOLDER / "corpus" / given.target
    atheris.Setup([sys.argv[0], *options, str(found), str(corpus)], target.run)
    atheris.Fuzz()


main()
