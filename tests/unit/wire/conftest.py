"""What the tests of the protocol share."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from support.protoc import compile_original


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """Return the descriptor of the protocol without additions, in a pool of its own."""
    path = tmp_path_factory.mktemp("original") / "descriptors"
    compile_original(f"--descriptor_set_out={path}")
    (file,) = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindFileByName(file.name)
