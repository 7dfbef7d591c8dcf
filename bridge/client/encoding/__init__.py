"""Encode images, predictions and numbers: pure functions of what the loop has logged."""
