"""What bridges that share a database show of each other's sessions, and the requests that they make to each other."""
