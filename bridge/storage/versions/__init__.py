"""The revisions of the tables, one module each; none of them changes once it has been released."""
