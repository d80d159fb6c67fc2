"""The hidden command behind the screen: the torch helper that samples from models."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("serve-inference", hidden=True)(serve_inference)


def serve_inference() -> None:
    """Answer the screen's questions about models, over standard input and output."""
    from lab.inference.server import main

    main()
