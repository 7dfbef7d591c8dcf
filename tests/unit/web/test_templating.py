"""Pages hold nothing that commands whatever shows them, and every function that a template calls is there."""

import pytest
from jinja2 import meta, nodes

from bridge.web.templating import html_response, templates

GIVEN = {"loss_text"}
"""Functions that a page gives to its template."""


@pytest.mark.parametrize("control", ["\x1b", "\x00", "\r", "\x07", "\x7f", "\x9b"])
def test_a_control_character_of_a_client_is_replaced(control):
    """Pages are read with curl, too, and a terminal obeys what stands in the name of an event."""
    assert html_response(f"a{control}]0;b").text == "a\N{REPLACEMENT CHARACTER}]0;b"


def test_everything_else_stays_as_it_is():
    """Lines, tabs and the letters of any script."""
    text = "a\n\tä \u202f 漢 🙂 \xa0"

    assert html_response(text).text == text


def test_every_function_that_a_template_calls_is_there():
    """Also one that stands behind a condition, such as a link that only a bridge with a Grafana has."""
    environment = templates()
    sources = {name: environment.loader.get_source(environment, name)[0] for name in names()}
    trees = {name: environment.parse(source) for name, source in sources.items()}
    shared = {
        name
        for tree in trees.values()
        for one in tree.find_all(nodes.FromImport)
        for name in one.names
    }

    for name, tree in trees.items():
        own = {macro.name for macro in tree.find_all(nodes.Macro)}
        undeclared = called_in(tree) & meta.find_undeclared_variables(tree)
        assert undeclared <= {*environment.globals, *GIVEN, *shared, *own}, name


def names():
    """Return the templates that are pages, or parts of one."""
    return [name for name in templates().list_templates() if name.endswith(".html")]


def called_in(tree):
    """Return the functions that a template calls."""
    calls = tree.find_all(nodes.Call)
    return {call.node.name for call in calls if isinstance(call.node, nodes.Name)}
