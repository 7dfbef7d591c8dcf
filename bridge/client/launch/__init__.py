"""A program started by `trainbridge run`: its session, its signals, and how it has ended."""
