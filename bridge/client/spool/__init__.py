"""What a session says, kept on disk until the bridge has it."""
