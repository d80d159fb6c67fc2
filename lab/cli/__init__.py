"""The commands: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


def register_commands(app: typer.Typer) -> None:
    """Gives the app its commands. Their modules import nothing heavy."""
    from lab.cli import (
        breaking,
        compare,
        datasets,
        demo,
        doctor,
        inout,
        inspect,
        ladder,
        lr_find,
        own_models,
        queue,
        runs,
        sample,
        serve,
        test_look,
        train,
    )

    for module in (
        ladder,
        demo,
        train,
        lr_find,
        queue,
        runs,
        compare,
        breaking,
        test_look,
        own_models,
        inout,
        sample,
        inspect,
        datasets,
        doctor,
        serve,
    ):
        module.register(app)
