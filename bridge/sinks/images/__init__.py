"""JPEGs of training batches, on their way to the object store."""

from bridge.sinks.images.limits import ImageLimits
from bridge.sinks.images.reader import ImageReader, checked
from bridge.sinks.images.sampler import Keep, Sampler
from bridge.sinks.images.sink import Images

__all__ = ["ImageLimits", "ImageReader", "Images", "Keep", "Sampler", "checked"]
