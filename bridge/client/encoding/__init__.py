"""How the SDK reads pictures, predictions and numbers: pure functions of what the loop gave."""
