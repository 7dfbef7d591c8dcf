"""Shards on their way to the object store, and the index rebuilt from what is there."""
