"""An object store behind the S3 protocol."""

from bridge.storage.s3.store import S3Store

__all__ = ["S3Store"]
