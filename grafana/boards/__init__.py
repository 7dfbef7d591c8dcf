"""The boards, each in a module of its own."""
