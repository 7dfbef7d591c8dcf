"""What outlives the process: the database, and objects."""
