"""The composer of LR sweeps: a stage, a method, seeds and a range; checked as one types, and queued by enter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from lab import text
from lab.errors import LabError
from lab.tui.screens.composer import CHECK_AFTER
from lab.tui.screens.window import Window
from lab.tui.sweep_draft import FIELDS, PLACEHOLDERS, SweepCheck, SweepDraft, check_sweep
from lab.tui.sweeps import said_lr
from lab.tui.theme import theme_colours
from lab.tui.widgets.safe_list import SafeList

if TYPE_CHECKING:
    from lab.tui.app import LabApp


class SweepComposerScreen(Window[str]):
    """Composes a sweep and queues it; its result is the id of the run."""

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

        check: SweepCheck

    @dataclass
    class Queued(Message):
        """A sweep has been queued, or could not be, and then `run_id` is empty."""

        run_id: str
        said: str

    def __init__(self, draft: SweepDraft) -> None:
        super().__init__()
        self.draft = draft
        self.checked: SweepCheck | None = None
        self._timer: Timer | None = None
        self._queueing = False

    @property
    def lab(self) -> LabApp:
        """The application, by its own type."""
        return cast("LabApp", self.app)

    def compose(self) -> ComposeResult:
        """Stages on the left, fields and what they come to on the right."""
        from lab.config.ladder import STAGES

        with Vertical(id="sweep-composer", classes="composer") as box:
            box.border_title = "New LR sweep"
            box.border_subtitle = "enter queue · tab next field · esc leave"
            with Horizontal():
                yield SafeList(*(Option(stage.name, id=stage.name) for stage in STAGES), id="stages", compact=True)
                with Vertical(id="fields"):
                    for name in FIELDS:
                        with Horizontal(classes="field"):
                            yield Static(name, classes="field-name", markup=False)
                            yield Input(
                                self.draft.values.get(name, ""),
                                id=f"field-{name}",
                                placeholder=PLACEHOLDERS[name],
                                compact=True,
                                select_on_focus=False,
                            )
                    yield Static(id="sweep-preview", markup=False)

    def on_mount(self) -> None:
        """Starts on the stages."""
        stages = self.query_one("#stages", OptionList)
        stages.highlighted = next((i for i, option in enumerate(stages.options) if option.id == self.draft.stage), 0)
        stages.focus()
        self._drafted()

    @on(OptionList.OptionHighlighted, "#stages")
    def _stage_chosen(self, event: OptionList.OptionHighlighted) -> None:
        stage = event.option.id or ""
        if stage != self.draft.stage:
            self.draft = SweepDraft(stage, self.draft.values)
            self._drafted()

    def action_stage(self, step: int) -> None:
        """Chooses the next stage, or the one before."""
        stages = self.query_one("#stages", OptionList)
        (stages.action_cursor_down if step > 0 else stages.action_cursor_up)()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        name = (event.input.id or "").removeprefix("field-")
        if self.draft.values.get(name, "") != event.value:
            self.draft = self.draft.with_value(name, event.value)
            self._drafted()

    def _drafted(self) -> None:
        """Has the draft checked as soon as no key comes for a moment."""
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(CHECK_AFTER, self._check)

    def _check(self) -> None:
        draft, database = self.draft, self.lab.database

        def work() -> None:
            self.post_message(self.Checked(check_sweep(draft, database)))

        self.run_worker(work, thread=True, exclusive=True, group="check", exit_on_error=False)

    @on(Checked)
    def _show_check(self, event: Checked) -> None:
        if event.check.draft == self.draft:
            self.checked = event.check
            self.query_one("#sweep-preview", Static).update(self._preview(event.check))

    def _preview(self, checked: SweepCheck) -> Text:
        colours = theme_colours(self.app.theme_variables)
        if checked.new is None or checked.new.sweep is None:
            return Text("\n" + text.literal("; ".join(checked.errors.values())), colours["error"])
        new, sweep = checked.new, checked.new.sweep
        said = Text.assemble(("\none LR sweep to queue", f"bold {colours['success']}"))
        said.append(f" · {text.literal(new.dataset.name)} · {new.config.optimizer}\n", colours["foreground"])
        span = f"from {said_lr(sweep.lowest)} to {said_lr(sweep.highest)}"
        if sweep.method == "ramp":
            how = f"lr rises {span} over {sweep.steps:,} steps, {text.plural(sweep.seeds, 'seed')} side by side"
        else:
            runs = sweep.rates * sweep.seeds
            how = f"{sweep.rates} rates {span}, {text.plural(sweep.seeds, 'seed')} each: {runs} runs of {sweep.steps:,}"
        said.append(how + "\n", colours["text-muted"])
        said.append("from the config's own initial weights; nothing else is touched", colours["text-muted"])
        return said

    @on(Input.Submitted)
    @on(OptionList.OptionSelected, "#stages")
    def action_queue(self) -> None:
        """Queues what the fields say, unless something is wrong with them."""
        if self._queueing:
            return
        draft, lab = self.draft, self.lab
        self._queueing = True

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            checked = check_sweep(draft, lab.database)
            if checked.new is None:
                self.post_message(self.Checked(checked))
                self.post_message(self.Queued("", ""))
                return
            try:
                row = lab.reader.store().add_runs([checked.new])[0]
                self.post_message(self.Queued(row.id, f"queued: {text.literal(row.name)}"))
            except (LabError, SQLAlchemyError) as error:
                self.post_message(self.Queued("", f"not queued: {getattr(error, 'orig', None) or error}"))

        self.run_worker(work, thread=True, group="queue", exit_on_error=False)

    @on(Queued)
    def _queued(self, event: Queued) -> None:
        self._queueing = False
        if event.said:
            failed = not event.run_id
            self.app.notify(event.said, markup=False, severity="warning" if failed else "information", timeout=4)
        if event.run_id:
            self.dismiss(event.run_id)

    def action_close(self) -> None:
        """Leaves without queueing."""
        self.dismiss()
