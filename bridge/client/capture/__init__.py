"""From a call of the training loop to what can be encoded: values as they were at the call."""
