"""Messages of a session, kept on disk until the bridge has committed them."""
