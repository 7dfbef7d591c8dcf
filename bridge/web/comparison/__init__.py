"""Sessions side by side: which ones, their curves, their results, and what differs in their configurations."""
