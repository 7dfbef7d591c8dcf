"""The gRPC server: from raw bytes to updates, and answers back."""
