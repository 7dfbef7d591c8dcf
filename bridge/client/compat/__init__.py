"""Drop-ins for other trackers: a script reports to a bridge once its import is changed, and nothing else."""
