"""A real training run to look at."""
