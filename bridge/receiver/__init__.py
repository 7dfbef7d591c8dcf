"""The gRPC door: from raw bytes to updates, and answers back."""
