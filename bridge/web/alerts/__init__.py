"""Alerts that come from Alertmanager: what they say, and what becomes of each."""
