"""Generated from proto/metrics.proto by generate.sh; nothing here is written by hand."""
