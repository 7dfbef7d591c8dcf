"""The protocol: code generated from proto/metrics.proto by generate.sh, and framing by hand."""
