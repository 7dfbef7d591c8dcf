"""A small live panel below the cell of a notebook that makes a session."""
