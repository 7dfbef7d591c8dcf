"""JPEGs of training batches, on their way to the object store."""

from bridge.sinks.images.reader import ImageReader
from bridge.sinks.images.sampler import Keep, Sampler
from bridge.sinks.images.sink import ImageLimits, Images

__all__ = ["ImageLimits", "ImageReader", "Images", "Keep", "Sampler"]
