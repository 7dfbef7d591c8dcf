"""Prometheus series of training sessions."""
