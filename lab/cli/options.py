"""The options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Database = Annotated[
    Path | None, typer.Option("--db", metavar="PATH", help="The database; else LAB_DB, else the nearest runs.db.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a unique prefix of it, or its name.")]
StageName = Annotated[
    str,
    typer.Argument(metavar="STAGE|FILE.py:CLASS", help="A rung of the ladder, such as layernorm, or your own model."),
]
StageNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="STAGE|FILE.py:CLASS", help="Rungs of the ladder, or your own models."),
]
DatasetName = Annotated[
    str, typer.Option("--dataset", metavar="NAME|PATH", help="shakespeare, names, an added one, or a UTF-8 file.")
]
DatasetAs = Annotated[
    str | None, typer.Option("--as", metavar="stream|words", help="How a file is cut: one stream, or a word a line.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the config; repeatable.")
]
Steps = Annotated[int | None, typer.Option("--steps", metavar="N", help="Optimiser steps; the stage's unless given.")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Of weights, batches and dropout.")]
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="What to call the run.")]
