"""What has happened to sessions, as annotations of charts: what there is, and which of it a request asks for."""
