"""The whole stack on one machine without containers, for looking at it and for tests."""
