"""The tables of docs/configuration.md, from the definition of the settings; run it to write them anew."""

from pathlib import Path

from bridge.config.settings import (
    GROUPS,
    Settings,
    default_of,
    flag_of,
    info_of,
    is_secret,
    is_switch,
    reads_file,
    variable_of,
)

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
HEAD = "| key | flag | variable | default | meaning |\n|---|---|---|---|---|\n"


def tables():
    """Return a heading and a table for each group of settings."""
    return "\n".join(
        f"### {title}\n\n{HEAD}" + "".join(map(_row, group.model_fields))
        for title, group in GROUPS.items()
    )


def written(page):
    """Return the page with the tables as they should be."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def _row(name):
    flag = flag_of(name)
    flags = f"`{flag}`, `--no{flag[1:]}`" if is_switch(name) else f"`{flag}`"
    key = "" if name == "config" else f"`{name}`"
    cells = (key, flags, f"`{variable_of(name)}`", f"`{default_of(name)}`", _meaning(name))
    return f"| {' | '.join(cells)} |\n"


def _meaning(name):
    known = info_of(name)
    sentences = [Settings.model_fields[name].description, f"Give {known.expected}."]
    if reads_file(name):
        secret = "A secret: " if is_secret(name) else ""
        sentences.append(f"{secret}`{variable_of(name)}_FILE` may name a file that holds it.")
    if known.fallbacks:
        sentences.append(f"Else from {', '.join(f'`{variable}`' for variable in known.fallbacks)}.")
    return " ".join(sentences).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
