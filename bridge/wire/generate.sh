#!/bin/sh
# Writes the Python of proto/metrics.proto into the root folder given (default: this repository).
# The generator is pinned: its code runs on protobuf 6.31 and every later 6 and 7 (newer generators refuse protobuf 6).
set -eu
cd "$(dirname "$0")/../.."
bin=.venv-proto/bin
"$bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv .venv-proto  # none yet, or half of one
"$bin/python" -c 'import grpc_tools, mypy_protobuf' 2>/dev/null ||
  "$bin/python" -m pip install --quiet grpcio-tools==1.78.0 mypy-protobuf==5.1.0
out=$(realpath "${1:-.}")
PATH="$PWD/$bin:$PATH" "$bin/python" -m grpc_tools.protoc -Ibridge/wire=proto \
  --python_out="$out" --mypy_out="$out" --grpc_python_out="$out" --mypy_grpc_out="$out" \
  bridge/wire/metrics.proto
