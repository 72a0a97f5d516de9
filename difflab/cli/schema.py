"""``difflab schema``: what a study file may hold, for editors."""

from __future__ import annotations

from typing import Annotated

import typer

from .faults import show

SCHEMA_EPILOG = """
\b
Examples:
  difflab schema > study.schema.json

With the schema beside a study, editors complete its keys and names and mark what is wrong while you type. Write as the
first line of the study:

\b
  #:schema study.schema.json

which taplo and the extension Even Better TOML of VS Code read. `difflab run STUDY --dry-run` checks what no schema can,
such as labels that belong together.

Exit codes: 0 all well; 70 a fault of difflab.
"""


def attach(app: typer.Typer) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
    """

    @app.command(epilog=SCHEMA_EPILOG)
    def schema(
        as_json: Annotated[bool, typer.Option("--json", help="The same: a schema is a JSON document.")] = False,
    ) -> None:
        """Print the JSON Schema (2020-12) of a study file, for editors.

        It is made of what the readers of studies say, with the problems and backends that there are here.
        """
        del as_json
        show(schema_text())


def schema_text() -> str:
    """The schema of a study file as JSON.

    >>> schema_text().splitlines()[1]
    ' "$schema": "https://json-schema.org/draft/2020-12/schema",'
    """
    import json

    from .. import __version__, backends
    from ..harness import catalogue, study_schema

    known = catalogue.collect([(name, {}) for name in backends.names()])
    found = study_schema.schema(known, backends.made_by)
    return json.dumps({**found, "$comment": f"written by difflab {__version__}"}, indent=1, allow_nan=False)
