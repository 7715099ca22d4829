"""One HTML file of one or many maps that needs nothing but itself: no network, no folder beside it."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from erfscope.report.pictures import Picture
from erfscope.report.tables import Table, make_tables, overview_table, provenance_table
from erfscope.system.atomic_files import replacing

TEMPLATE = "report/template"
TITLE = "Effective receptive fields"


@dataclass(frozen=True)
class Chapter:
    """One map in the report.

    Attributes
    ----------
    document
        The JSON form of all that was found; the tables hold nothing else.
    provenance_facts
        How the map came about, JSON-able.
    pictures
        In the order of the page.
    values
        Read out under the cursor, see `report.pictures.hover_values`.
    """

    document: Mapping[str, Any]
    provenance_facts: Mapping[str, Any]
    pictures: tuple[Picture, ...]
    values: Mapping[str, Any]

    @property
    def tables(self) -> tuple[Table, ...]:
        """What was measured and predicted."""
        return make_tables(self.document)

    @property
    def provenance(self) -> Table:
        """Where the map is from."""
        return provenance_table(self.provenance_facts)


def render(chapters: Sequence[Chapter]) -> str:
    """Return the HTML text; every string from a file is escaped, and no script but the template's runs."""
    script = _text("script.js")
    documents = [chapter.document for chapter in chapters]
    return fill_template(
        "page.html",
        title=TITLE,
        chapters=chapters,
        overview=overview_table(documents),
        documents=documents,
        script=script,
        script_hash=f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}",
    )


def fill_template(name: str, **values: Any) -> str:
    """Fill one of the templates, in the house's style; values are escaped."""
    environment = Environment(
        loader=PackageLoader("erfscope", TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(
        style=_text("style.css"), version=version("erfscope"), **values
    )


def write_html(chapters: Sequence[Chapter], path: Path) -> None:
    """Write the report to `path`, whole or not at all.

    Raises
    ------
    MapError
        It can't be written.
    """
    text = render(chapters)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _text(name: str) -> str:
    return (files("erfscope") / TEMPLATE / name).read_text(encoding="utf-8")
