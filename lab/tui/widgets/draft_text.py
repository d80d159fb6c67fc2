"""What the composer says of a draft: what its empty fields mean, and what it comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from lab import text
from lab.tui.drafts import Check, usual_values
from lab.tui.estimates import Estimates
from lab.tui.widgets.plan_text import list_text, size_text
from lab.tui.widgets.run_columns import Look

if TYPE_CHECKING:
    from lab.config.named_model import NamedModel


def placeholders(model: NamedModel | None) -> dict[str, str]:
    """What stands in each field while it is empty; of a model that is not named yet nothing is known."""
    return {
        "model": "my_model.py:MyModel, a file and the class in it",
        "change": "as the stage; or lr=1e-3, 3e-4: a run each",
        "steps": f"{usual_values(model)['steps']}" if model is not None else "",
        "seeds": "1337; or 1, 2, 3, or 1..5: a run each",
        "dataset": f"{model.home_dataset if model is not None else 'shakespeare'}; or names, or the path of a text",
        "name": f"{model.stage}-N" if model is not None else "",
    }


def draft_text(
    checked: Check, estimates: Estimates, *, time: str, saved: str, again: bool, look: Look, width: int
) -> Text:
    """The runs that a draft makes, how long they take, and what its model is."""
    muted, warning = look.colour("text-muted"), look.colour("warning")
    said = Text()
    if checked.too_large is not None:
        said.append(f"{checked.too_large.said}\n", f"bold {warning}")
        return said
    if checked.plan is not None:
        said.append_text(size_text(checked.plan, again=again, time=time, look=look))
        said.append(f"\nsaved as {text.literal(saved)}" if saved else "", muted)
        said.append("\n")
        if any(run.config.sees_the_answer for run in checked.runs):
            said.append("without the causal mask it sees the answer: its loss means nothing\n", warning)
        said.append_text(list_text(checked.plan, estimates.seconds, again=again, look=look, width=width))
        said.append("\n")
    if checked.model is not None:
        said.append_text(_model_text(checked, checked.model, muted))
    return said


def _model_text(checked: Check, model: NamedModel, muted: str) -> Text:
    said = Text(f"{text.literal(model.stage)} ", "bold")
    if model.source is None:
        from lab.config.ladder import find_stage

        stage = find_stage(model.stage)
        said.append(f"adds {stage.adds}", f"not bold {muted}")
        said.append(f"; also changed: {stage.also_changed}" if stage.also_changed else "", f"not bold {muted}")
    elif checked.draft.is_kept:
        kept = "as the run has kept it; for what the file holds now, type its path, such as ./my_model.py:MyModel"
        said.append(kept, f"not bold {muted}")
    else:
        read = f"read from {text.literal(str(model.source.path))}; queueing it lets its code be run here"
        said.append(read, f"not bold {muted}")
    return said
