"""The SDK for training loops."""
