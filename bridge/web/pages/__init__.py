"""Pages for people: sessions, a session, a batch and its images, and the forms of commands."""
