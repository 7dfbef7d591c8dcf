"""The ranks of a run, side by side."""
