"""The composer: a stage, what to change, seeds; checked as one types, and queued by enter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from lab import text
from lab.errors import LabError
from lab.tui.drafts import FIELDS, Check, Draft, check, complete_setting
from lab.tui.theme import theme_colours
from lab.tui.widgets.detail_pane import in_columns
from lab.tui.widgets.run_columns import Look, config_changes, shown_value

if TYPE_CHECKING:
    from lab.tui.app import LabApp

CHECK_AFTER = 0.08
"""Seconds without a key before a draft is checked."""


class SettingSuggester(Suggester):
    """Completes keys and values of what to change; → takes what is offered."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.stage = ""

    async def get_suggestion(self, value: str) -> str | None:
        """The line as it may go on."""
        return complete_setting(self.stage, value)


class ComposerScreen(ModalScreen[str]):
    """Composes runs and queues them; its result is what was queued, in a line."""

    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("escape", "close", show=False),
        Binding("ctrl+s", "queue", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("j", "stage(1)", show=False),
        Binding("k", "stage(-1)", show=False),
    ]

    @dataclass
    class Checked(Message):
        """A draft has been checked."""

        check: Check

    @dataclass
    class Queued(Message):
        """Runs have been queued, or could not be."""

        said: str
        failed: bool = False

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft
        self.checked: Check | None = None
        self._timer: Timer | None = None
        self._suggester = SettingSuggester()
        self._queueing = False

    @property
    def lab(self) -> LabApp:
        """The application, by its own type."""
        return cast("LabApp", self.app)

    def compose(self) -> ComposeResult:
        """Stages on the left, fields and what they come to on the right."""
        from lab.config.ladder import STAGES

        self._suggester.stage = self.draft.stage
        with Vertical(id="composer") as box:
            box.border_title = "New run"
            box.border_subtitle = "enter queue · tab next field · esc leave"
            with Horizontal():
                yield OptionList(*(Option(stage.name, id=stage.name) for stage in STAGES), id="stages", compact=True)
                with Vertical(id="fields"):
                    for name in FIELDS:
                        yield from self._field(name)
                    with VerticalScroll(id="preview-scroll", can_focus=False):
                        yield Static(id="preview", markup=False)

    def _field(self, name: str) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Static(name, classes="field-name", markup=False)
            yield Input(
                getattr(self.draft, name),
                id=f"field-{name}",
                compact=True,
                select_on_focus=False,
                suggester=self._suggester if name == "change" else None,
            )
        error = Static(id=f"error-{name}", classes="field-error", markup=False)
        error.display = False
        yield error

    def on_mount(self) -> None:
        """Starts on the stages, or on what to change where a config is being copied."""
        stages = self.query_one("#stages", OptionList)
        stages.highlighted = next((i for i, option in enumerate(stages.options) if option.id == self.draft.stage), 0)
        (self.query_one("#field-change") if self.draft != Draft(self.draft.stage) else stages).focus()
        self._drafted()

    # What is typed

    @on(OptionList.OptionHighlighted, "#stages")
    def _stage_chosen(self, event: OptionList.OptionHighlighted) -> None:
        stage = event.option.id or ""
        if stage != self.draft.stage:
            self.draft = replace(self.draft, stage=stage)
            self._drafted()

    def action_stage(self, step: int) -> None:
        """Chooses the next stage, or the one before."""
        stages = self.query_one("#stages", OptionList)
        (stages.action_cursor_down if step > 0 else stages.action_cursor_up)()

    @on(OptionList.OptionSelected, "#stages")
    def _stage_entered(self) -> None:
        self.query_one("#field-change").focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        name = (event.input.id or "").removeprefix("field-")
        if getattr(self.draft, name) != event.value:
            self.draft = replace(self.draft, **{name: event.value})
            self._drafted()

    def _drafted(self) -> None:
        """Has the draft checked as soon as no key comes for a moment."""
        self._suggester.stage = self.draft.stage
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(CHECK_AFTER, self._check)
        self._show_placeholders()

    def _check(self) -> None:
        draft, lab = self.draft, self.lab

        def work() -> None:
            try:
                self.post_message(self.Checked(check(draft, lab.database, lab.reader.store())))
            except LabError as error:
                self.post_message(self.Checked(Check(draft, errors={"change": str(error)})))

        self.run_worker(work, thread=True, exclusive=True, group="check", exit_on_error=False)

    @on(Checked)
    def _show_check(self, event: Checked) -> None:
        if event.check.draft != self.draft:
            return
        self.checked = event.check
        for name in FIELDS:
            error = self.query_one(f"#error-{name}", Static)
            said = event.check.errors.get(name, "")
            error.display = bool(said)
            error.update(text.literal(said))
        self.query_one("#preview", Static).update(self._preview(event.check))

    def _show_placeholders(self) -> None:
        from lab.config.ladder import find_stage, stage_changes

        stage = find_stage(self.draft.stage)
        usual = stage_changes(stage)
        placeholders = {
            "change": "as the stage has it; or for example lr=3e-4 dropout=0.1",
            "steps": f"{usual['steps']}",
            "seeds": "1337; or 1 2 3, or 1..5: a run each",
            "dataset": f"{stage.home_dataset}; or names, or the path of a text",
            "name": f"{stage.name}-N",
        }
        for name, placeholder in placeholders.items():
            self.query_one(f"#field-{name}", Input).placeholder = placeholder

    # What it comes to

    def _preview(self, checked: Check) -> Text:
        from lab.config.ladder import find_stage

        look = Look(colours=theme_colours(self.app.theme_variables))
        muted, accent = look.colour("text-muted"), look.colour("accent")
        stage = find_stage(checked.draft.stage)
        said = Text()
        said.append(f"{stage.name} ", "bold")
        said.append(f"adds {stage.adds}\n", muted)
        if stage.also_changed:
            said.append(f"also changed: {stage.also_changed}\n", muted)
        if not checked.runs:
            return said
        config = checked.runs[0].config
        seeds = ", ".join(str(run.config.seed) for run in checked.runs[:8]) + (" …" if len(checked.runs) > 8 else "")
        said.append(f"\n{text.plural(len(checked.runs), 'run')} to queue", f"bold {look.colour('success')}")
        said.append(f" · {config.steps:,} steps each · {text.literal(checked.runs[0].dataset.name)} · seed {seeds}\n")
        changes = config_changes(config.to_json())
        if changes:
            said.append("changed  ", muted)
            said.append(text.literal("  ".join(f"{key}={value}" for key, value in changes.items())), f"bold {accent}")
            said.append("\n")
        if checked.twins:
            names = text.literal(", ".join(checked.twins[:3]))
            said.append(f"the same config is stored already: {names}\n", look.colour("warning"))
        if config.sees_the_answer:
            said.append("without the causal mask it sees the answer: its loss means nothing\n", look.colour("warning"))
        said.append("\n")
        said.append_text(self._settings(checked, look))
        return said

    def _settings(self, checked: Check, look: Look) -> Text:
        """All else that the model reads."""
        from lab.config.run_config import RunConfig, models_that_read

        config = checked.runs[0].config
        left_out = {*config_changes(config.to_json()), "stage", "model", "dataset", "dataset_as", "seed", "steps"}
        fields = [
            (name, text.literal(shown_value(getattr(config, name))))
            for name, field in RunConfig.model_fields.items()
            if name not in left_out and config.model in models_that_read(field)
        ]
        return in_columns(fields, look, self.query_one("#preview").size.width)

    # Queueing

    @on(Input.Submitted)
    def action_queue(self) -> None:
        """Queues what the fields say, unless something is wrong with them."""
        if self._queueing:
            return
        draft, lab = self.draft, self.lab
        self._queueing = True

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            try:
                checked = check(draft, lab.database, lab.reader.store())
                if checked.errors:
                    self.post_message(self.Checked(checked))
                    self.post_message(self.Queued("", failed=True))
                    return
                rows = lab.reader.store().add_runs(checked.runs)
                names = ", ".join(text.literal(row.name) for row in rows[:3]) + (" …" if len(rows) > 3 else "")
                self.post_message(self.Queued(f"queued: {names}"))
            except (LabError, SQLAlchemyError) as error:
                self.post_message(self.Queued(f"not queued: {getattr(error, 'orig', None) or error}", failed=True))

        self.run_worker(work, thread=True, group="queue", exit_on_error=False)

    @on(Queued)
    def _queued(self, event: Queued) -> None:
        self._queueing = False
        if event.said:
            self.app.notify(event.said, markup=False, severity="warning" if event.failed else "information", timeout=4)
        if not event.failed:
            self.dismiss(event.said)

    def action_close(self) -> None:
        """Leaves without queueing."""
        self.dismiss()
