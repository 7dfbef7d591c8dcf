"""JPEGs of training batches, on their way to the object store."""
