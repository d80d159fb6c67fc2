"""The form of a child run: from which checkpoint to go on, for how long, and with what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input, Static

from lab import text
from lab.errors import CheckpointError, ConfigError, LabError
from lab.tui.run_charts import short_rate
from lab.tui.screens.draft_window import DraftWindow
from lab.tui.theme import theme_colours
from lab.tui.widgets.run_columns import Look, shown_value

if TYPE_CHECKING:
    from lab.queue.child_requests import ChildRequest
    from lab.store.run_store import CheckpointRow, NewRun, RunRow, RunStore

FIELDS = ("from", "steps", "lr", "dropout", "change", "name")
_STEPS_SHOWN = 8


@dataclass(frozen=True)
class ChildDraft:
    """What stands in the fields; an empty one means as the parent has it."""

    values: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "").strip()


@dataclass(frozen=True)
class ChildCheck:
    """What a draft comes to: a run to queue, or what is wrong with which field."""

    draft: ChildDraft
    child: NewRun | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    checkpoints: tuple[CheckpointRow, ...] = ()


def why_not(run: RunRow | None) -> str:
    """Why a run cannot be continued with changes now; empty where it can."""
    if run is None:
        return "no run is selected"
    name = text.literal(run.name)
    if run.kind != "training":
        return f"{name} keeps no checkpoint to go on from"
    if run.status == "training":
        return f"{name} is training: pause (p) or stop (K) it first"
    return f"{name} waits: it has nothing to go on from yet" if run.status == "queued" else ""


def check_child(draft: ChildDraft, parent: RunRow, store: RunStore) -> ChildCheck:
    """Reads a draft against the database; on a thread. Wrong input is in the result, not raised."""
    from lab.queue.child_requests import compose_child

    checkpoints = tuple(store.checkpoints(parent.id))
    try:
        child = compose_child(_request(draft, parent), store)
    except CheckpointError as error:
        return ChildCheck(draft, errors={"from": str(error)}, checkpoints=checkpoints)
    except LabError as error:
        return ChildCheck(draft, errors={_field_of(str(error), draft): str(error)}, checkpoints=checkpoints)
    return ChildCheck(draft, child, checkpoints=checkpoints)


def _request(draft: ChildDraft, parent: RunRow) -> ChildRequest:
    from lab.config.run_config import parse_settings
    from lab.queue.child_requests import ChildRequest

    settings = parse_settings(draft["change"].split())
    settings |= {name: draft[name] for name in ("lr", "dropout") if draft[name]}
    if "steps" in settings:
        raise ConfigError("steps has its own place: steps")
    steps = draft["steps"].replace(",", "").replace("_", "")
    if steps and not steps.isascii():
        raise ConfigError(f"steps={steps} must be a number")
    if steps and not steps.isdigit():
        raise ConfigError(f"steps={steps} must be a whole number, 1 or more")
    return ChildRequest(parent, draft["from"] or "last", int(steps) if steps else None, settings, draft["name"])


def _field_of(message: str, draft: ChildDraft) -> str:
    """The field that an error is about."""
    for name in ("steps", "lr", "dropout"):
        if message.startswith(f"{name}=") and (name == "steps" or draft[name]):
            return name
    if "checkpoint '" in message:
        return "from"
    return "name" if "name" in message.split(" ")[:3] and "run's" in message else "change"


class ContinueScreen(DraftWindow[ChildDraft, ChildCheck]):
    """Composes a child run and queues it; its result is the child's id."""

    CSS_PATH = "continue_run.tcss"

    def __init__(self, parent: RunRow) -> None:
        super().__init__(ChildDraft())
        self.parent_run = parent

    def compose(self) -> ComposeResult:
        """The fields, and what they come to."""
        with VerticalScroll(id="continue", can_focus=False) as box:
            box.border_title = Text(f"Go on from {text.clip(text.literal(self.parent_run.name), 40)}")
            box.border_subtitle = "enter queue · tab next field · esc leave"
            placeholders = self._placeholders()
            for name in FIELDS:
                with Horizontal(classes="field"):
                    yield Static(name, classes="field-name", markup=False)
                    yield Input(id=f"child-{name}", placeholder=placeholders[name], compact=True)
                error = Static(id=f"child-error-{name}", classes="field-error", markup=False)
                error.display = False
                yield error
            yield Static(id="continue-preview", markup=False)

    def _placeholders(self) -> dict[str, str]:
        parent = self.parent_run
        try:
            config = parent.config
        except ConfigError:
            return dict.fromkeys(FIELDS, "")
        return {
            "from": "last; or best, or the step of a checkpoint",
            "steps": f"{parent.steps:,} more",
            "lr": f"{short_rate(config.lr)}; a tenth of it is {short_rate(config.lr / 10)}",
            "dropout": shown_value(config.dropout) if config.model != "bigram" else "its model has none",
            "change": "as the run has it; or schedule=cosine grad_clip=1",
            "name": f"{text.clip(text.literal(parent.stage), 30)}-N",
        }

    def on_mount(self) -> None:
        """Starts on how long it goes on."""
        self.query_one("#child-steps").focus()
        self.drafted()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        name = (event.input.id or "").removeprefix("child-")
        if self.draft.values.get(name, "") != event.value:
            self.draft = replace(self.draft, values={**self.draft.values, name: event.value})
            self.drafted()

    def check(self, draft: ChildDraft) -> ChildCheck:
        return check_child(draft, self.parent_run, self.lab.reader.store())

    def unchecked(self, draft: ChildDraft, said: str) -> ChildCheck:
        return ChildCheck(draft, errors={"from": said})

    async def show_check(self, check: ChildCheck) -> None:
        for name in FIELDS:
            error = self.query_one(f"#child-error-{name}", Static)
            said = check.errors.get(name, "")
            error.display = bool(said)
            error.update(text.literal(said))
        self.query_one("#continue-preview", Static).update(self._preview(check))

    def _preview(self, checked: ChildCheck) -> Text:
        look = Look(colours=theme_colours(self.app.theme_variables))
        muted, said, parent = look.colour("text-muted"), Text(), self.parent_run
        child = checked.child
        if child is not None:
            from_step = child.parent_step or 0
            said.append("1 run to queue", f"bold {look.colour('success')}")
            said.append(f" · goes on at step {from_step:,} for {child.config.steps - from_step:,} steps")
            said.append(f", to {child.config.steps:,}\n", muted)
            changed = _changed(child, parent)
            said.append("changed  " if changed else "nothing is changed but the steps", muted)
            said.append(changed, f"bold {look.colour('accent')}")
            said.append("\n")
            if child.config.optimizer != parent.config.optimizer:
                said.append("another optimiser begins without what the old one remembered\n", look.colour("warning"))
        said.append_text(_kept(checked.checkpoints, parent, muted))
        return said

    def enqueue(self, draft: ChildDraft) -> DraftWindow.Queued:
        store, parent = self.lab.reader.store(), self.parent_run
        checked = self.check(draft)
        if checked.child is None:
            return self.refused(checked)
        run = self.lab.edits.add_child(store, checked.child)
        said = f"{text.literal(run.name)} goes on from {text.literal(parent.name)} at step {run.parent_step:,}"
        return self.Queued(run.id, f"queued: {said}")


def _changed(child: NewRun, parent: RunRow) -> str:
    old, new = parent.config, child.config
    names = [name for name in type(new).model_fields if name != "steps" and getattr(new, name) != getattr(old, name)]
    return text.literal("  ".join(f"{name}={shown_value(getattr(new, name))}" for name in names))


def _kept(checkpoints: tuple[CheckpointRow, ...], parent: RunRow, muted: str) -> Text:
    """Which checkpoints there are to go on from."""
    if not checkpoints:
        return Text("it has no checkpoint yet", muted)
    steps = sorted({row.step for row in checkpoints}, reverse=True)
    said = ", ".join(f"{step:,}" for step in steps[:_STEPS_SHOWN]) + (", …" if len(steps) > _STEPS_SHOWN else "")
    best = next((row.step for row in reversed(checkpoints) if row.kind == "best"), None)
    loss = f" (val {text.loss(parent.best_val_loss)})" if parent.best_val_loss is not None else ""
    return Text(f"checkpoints at {said}" + (f" · best {best:,}{loss}" if best is not None else ""), muted)
