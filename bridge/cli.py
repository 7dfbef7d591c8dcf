"""The command `trainbridge`."""
