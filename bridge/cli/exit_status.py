"""The exit statuses of `trainbridge`; `trainbridge command` has one more."""

DONE = 0
FAILED = 1
MISUSED = 2
"""A flag, variable or file must be changed; also what argparse exits with."""

INTERRUPTED = 130
"""Ctrl-C, as shells report it."""
