"""A database in PostgreSQL, which several bridges share."""
