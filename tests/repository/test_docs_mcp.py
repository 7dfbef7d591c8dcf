"""docs/mcp.md lists the tools that there are, and its configurations are ones that the command takes."""

import argparse
import json

import pytest
from support.markdown import blocks, tables_under
from support.repository import ROOT

from bridge.cli import mcp
from bridge.client import BridgeClient
from bridge.mcp import build_server

PAGE = (ROOT / "docs" / "mcp.md").read_text()
TABLES = tables_under(PAGE)


async def test_every_tool_stands_in_a_table():
    """In the order of the code: those that read, and those that command."""
    server = build_server(BridgeClient("http://127.0.0.1:9"), allow_commands=True)
    tools = await server.list_tools()

    rows = [row[0] for heading in ("What it may ask", "Commands") for row in TABLES[heading]]
    assert rows == [f"`{tool.name}`" for tool in tools]


@pytest.mark.parametrize("example", blocks(PAGE, "json"))
def test_each_configuration_starts_it(example):
    """The arguments are those of `trainbridge mcp`."""
    server = json.loads(example)["mcpServers"]["trainbridge"]
    parser = argparse.ArgumentParser()
    mcp.add_arguments(parser)

    word, *flags = server["args"]
    assert word == "mcp"
    assert parser.parse_args(flags).allow_commands == ("--allow-commands" in flags)
