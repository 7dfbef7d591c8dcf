"""What every Python that `trainbridge run` starts imports first: this folder stands in its PYTHONPATH."""
