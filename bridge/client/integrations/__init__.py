"""One line for the training loops of frameworks; each module needs its framework, and nothing else of the SDK does."""
