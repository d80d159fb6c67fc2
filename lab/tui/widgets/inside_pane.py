"""What goes on inside the model, layer by layer, at the step of the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from lab.store.run_store import RunRow


class InsidePane(TextPane):
    """Activations, gradients and updates of one run. It is told which run and which step; it reads what it shows."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__("Inside", id=id)

    def show_step(self, run: RunRow, step: int, look: Look) -> None:
        """Shows a run as it was at a step."""
        self.show(_nothing(run, look), (run.id, run.status, look.dark))


def _nothing(run: RunRow, look: Look) -> Text:
    """What is said of a run that recorded nothing of its inside."""
    said = Text()
    if run.status in ("queued", "training"):
        said.append("its layers are looked into at each evaluation\n", look.colour("text-muted"))
    else:
        said.append("nothing was recorded of its layers\n", look.colour("text-muted"))
    said.append("\nhere stand, layer by layer: activations, gradients, and how large each update is\n", "dim")
    return said
