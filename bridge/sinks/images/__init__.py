"""JPEGs of training batches, on their way to the object store."""

from bridge.sinks.images.reader import ImageReader
from bridge.sinks.images.sampler import Keep, Sampler
from bridge.sinks.images.sink import Images, Limits

__all__ = ["ImageReader", "Images", "Keep", "Limits", "Sampler"]
