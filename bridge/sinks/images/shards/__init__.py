"""Shards: their layout, their files, and the spool they stay in until they are uploaded."""
