"""The attempts of a session: which there are, and how they make up one run."""
