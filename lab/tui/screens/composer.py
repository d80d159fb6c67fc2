"""The composer: a stage, what to change, seeds; checked as one types, a grid where a field has several values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from lab import text
from lab.errors import LabError
from lab.tui.drafts import (
    FIELDS,
    GROUPS,
    Check,
    Draft,
    check,
    complete_setting,
    group_keys,
    typed_settings,
    usual_values,
)
from lab.tui.screens.confirm import ConfirmScreen
from lab.tui.screens.window import Window
from lab.tui.theme import theme_colours
from lab.tui.widgets.config_group import ConfigGroup
from lab.tui.widgets.plan_text import list_text, size_text
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.safe_list import SafeList

if TYPE_CHECKING:
    from lab.queue.experiment_requests import DatasetReader, Plan
    from lab.store.run_store import NewRun
    from lab.tui.app import LabApp

CHECK_AFTER = 0.08
"""Seconds without a key before a draft is checked."""
MEASURE_AFTER = 0.6
"""Seconds without a key before it is asked how long the runs take."""
WIDE_FROM = 140
NARROW_BELOW = 100
ASKER = "composer"
KEYS = "enter queue · ctrl+s save as experiment · ctrl+r train again · esc leave"
KEYS_SHORT = "enter queue · ^s save · ^r again · esc leave"


class SettingSuggester(Suggester):
    """Completes keys and values of what to change; → takes what is offered."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.stage = ""

    async def get_suggestion(self, value: str) -> str | None:
        """The line as it may go on."""
        return complete_setting(self.stage, value)


class ComposerScreen(Window[str]):
    """Composes runs and queues them; its result is what was queued, in a line."""

    CSS_PATH = "composer.tcss"
    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("escape", "close", show=False),
        Binding("ctrl+s", "save", show=False, priority=True),
        Binding("ctrl+r", "again", show=False, priority=True),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("j", "stage(1)", show=False),
        Binding("k", "stage(-1)", show=False),
        Binding("pagedown", "scroll_list(1)", show=False),
        Binding("pageup", "scroll_list(-1)", show=False),
    ]
    LABELS: ClassVar = {"change": "change", "seeds": "seeds", "steps": "steps", "dataset": "dataset", "name": "name"}

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
        self.again = False
        self.experiment = ""
        """The name that it was saved under as an experiment."""
        self._timer: Timer | None = None
        self._measure_timer: Timer | None = None
        self._suggester = SettingSuggester()
        self._queueing = False
        self._read: DatasetReader | None = None

    @property
    def lab(self) -> LabApp:
        """The application, by its own type."""
        return cast("LabApp", self.app)

    def compose(self) -> ComposeResult:
        """Stages on the left, fields beside them, and what they come to beside or below those."""
        from lab.config.ladder import STAGES

        self._suggester.stage = self.draft.stage
        with Vertical(id="composer") as box:
            box.border_title = "New run"
            with Horizontal():
                yield SafeList(*(Option(stage.name, id=stage.name) for stage in STAGES), id="stages", compact=True)
                with Vertical(id="form"):
                    with VerticalScroll(id="fields", can_focus=False):
                        for name in FIELDS:
                            yield from self._field(name)
                        with Vertical(id="groups"):
                            yield from (ConfigGroup(name) for name in GROUPS)
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

    async def on_mount(self) -> None:
        """Starts on the stages, or on what to change where a config is being copied."""
        stages = self.query_one("#stages", OptionList)
        stages.highlighted = next((i for i, option in enumerate(stages.options) if option.id == self.draft.stage), 0)
        (self.query_one("#field-change") if self.draft != Draft(self.draft.stage) else stages).focus()
        self.watch(self.app, "measured", self._show_plan, init=False)
        self._show_shape()
        await self._show_groups()
        self._drafted()

    def on_unmount(self) -> None:
        """Nobody wants to know any more how long these runs take."""
        self.lab.estimates.want(ASKER, ())

    def on_resize(self, event: events.Resize) -> None:
        """What the fields come to stands beside them where there is room, else below."""
        self._show_shape()
        self._show_plan()

    def _show_shape(self) -> None:
        width = self.app.size.width
        box = self.query_one("#composer")
        box.set_class(width >= WIDE_FROM, "-wide")
        box.set_class(width < NARROW_BELOW, "-narrow")
        box.border_subtitle = KEYS if width >= NARROW_BELOW else KEYS_SHORT

    # What is typed

    @on(OptionList.OptionHighlighted, "#stages")
    async def _stage_chosen(self, event: OptionList.OptionHighlighted) -> None:
        stage = event.option.id or ""
        if stage != self.draft.stage:
            self.draft = replace(self.draft, stage=stage)
            await self._show_groups()
            self._drafted()

    def action_stage(self, step: int) -> None:
        """Chooses the next stage, or the one before."""
        stages = self.query_one("#stages", OptionList)
        (stages.action_cursor_down if step > 0 else stages.action_cursor_up)()

    @on(OptionList.OptionSelected, "#stages")
    def _stage_entered(self) -> None:
        self.query_one("#field-change").focus()

    @on(Input.Changed)
    async def _typed(self, event: Input.Changed) -> None:
        name = (event.input.id or "").removeprefix("field-")
        if name in FIELDS and getattr(self.draft, name) != event.value:
            self.draft = replace(self.draft, **{name: event.value})
            if name == "change":
                await self._show_groups()
            self._drafted()

    @on(ConfigGroup.Changed)
    async def _setting_typed(self, event: ConfigGroup.Changed) -> None:
        self.draft = self.draft.with_setting(event.key, event.value)
        self.query_one("#field-change", Input).value = self.draft.change
        await self._show_groups()
        self._drafted()

    async def _show_groups(self) -> None:
        """Has the groups show what is typed now, and what was wrong when it was last checked."""
        usual, (typed, _) = usual_values(self.draft.stage), typed_settings(self.draft.change)
        errors = self.checked.key_errors if self.checked is not None else {}
        look = self._look()
        for name, keys in group_keys(self.draft.stage).items():
            await self.query_one(f"#group-{name}", ConfigGroup).show(keys, usual, typed, errors, look)

    def _drafted(self) -> None:
        """Has the draft checked as soon as no key comes for a moment."""
        self._suggester.stage = self.draft.stage
        for timer in (self._timer, self._measure_timer):
            if timer is not None:
                timer.stop()
        self._timer = self.set_timer(CHECK_AFTER, self._check)
        self._show_placeholders()

    def _check(self) -> None:
        draft = self.draft

        def work() -> None:
            try:
                self.post_message(self.Checked(self._checked(draft)))
            except LabError as error:
                self.post_message(self.Checked(Check(draft, errors={"change": str(error)})))

        self.run_worker(work, thread=True, exclusive=True, group="check", exit_on_error=False)

    def _checked(self, draft: Draft, *, confirmed: bool = False) -> Check:
        """On a thread. Raises `LabError` where the database is not open."""
        from lab.queue.experiment_requests import DatasetReader

        if self._read is None:
            self._read = DatasetReader(self.lab.database)
        stored = self.lab.reader.store().runs()
        return check(draft, self._read, stored, confirmed=confirmed, experiment_name=self.experiment)

    @on(Checked)
    async def _show_check(self, event: Checked) -> None:
        if event.check.draft != self.draft:
            return
        self.checked = event.check
        for name in FIELDS:
            error = self.query_one(f"#error-{name}", Static)
            said = event.check.errors.get(name, "")
            error.display = bool(said)
            error.update(text.literal(said))
        await self._show_groups()
        self._show_plan()
        self._measure_timer = self.set_timer(MEASURE_AFTER, self._measure)

    def _measure(self) -> None:
        """Has it found out how long the runs take that are to be queued."""
        if self.checked is not None and self.checked.plan is not None:
            self.lab.estimates.want(ASKER, self._to_queue(self.checked.plan))
            self._show_plan()

    def _to_queue(self, plan: Plan) -> Sequence[NewRun]:
        return plan.to_queue(again=self.again)

    def _show_placeholders(self) -> None:
        from lab.config.ladder import find_stage

        stage, usual = find_stage(self.draft.stage), usual_values(self.draft.stage)
        placeholders = {
            "change": "as the stage has it; or lr=3e-4 dropout=0.1; lr=1e-3, 3e-4 makes a run of each",
            "steps": f"{usual['steps']}",
            "seeds": "1337; or 1, 2, 3, or 1..5: a run each",
            "dataset": f"{stage.home_dataset}; or names, or the path of a text",
            "name": f"{stage.name}-N",
        }
        for name, placeholder in placeholders.items():
            self.query_one(f"#field-{name}", Input).placeholder = placeholder

    # What it comes to

    def _look(self) -> Look:
        return Look(colours=theme_colours(self.app.theme_variables))

    def _show_plan(self) -> None:
        if self.is_mounted and self.checked is not None and self.checked.draft == self.draft:
            self.query_one("#preview", Static).update(self._preview(self.checked))

    def _preview(self, checked: Check) -> Text:
        from lab.config.ladder import find_stage

        look = self._look()
        muted, warning = look.colour("text-muted"), look.colour("warning")
        stage = find_stage(checked.draft.stage)
        said = Text()
        if checked.too_large is not None:
            said.append(f"{checked.too_large.said}\n", f"bold {warning}")
            return said
        if checked.plan is not None:
            said.append_text(self._size_line(checked.plan, look))
            said.append("\n")
            if any(run.config.sees_the_answer for run in checked.runs):
                said.append("without the causal mask it sees the answer: its loss means nothing\n", warning)
            width = max(40, self.query_one("#preview").size.width)
            seconds = self.lab.estimates.seconds
            said.append_text(list_text(checked.plan, seconds, again=self.again, look=look, width=width))
            said.append("\n")
        said.append(f"{stage.name} ", "bold")
        said.append(f"adds {stage.adds}", muted)
        said.append(f"; also changed: {stage.also_changed}" if stage.also_changed else "", muted)
        return said

    def _size_line(self, plan: Plan, look: Look) -> Text:
        wanted = self._to_queue(plan)
        time = self.lab.estimates.estimate(wanted, self.lab.snapshot).said if wanted else ""
        said = size_text(plan, again=self.again, time=time, look=look)
        if self.experiment:
            said.append(f"\nsaved as {text.literal(self.experiment)}", look.colour("text-muted"))
        return said

    def action_scroll_list(self, pages: int) -> None:
        """Scrolls the list of runs."""
        scroll = self.query_one("#preview-scroll", VerticalScroll)
        (scroll.scroll_page_down if pages > 0 else scroll.scroll_page_up)(animate=False)

    def action_again(self) -> None:
        """Trains what is stored already again too, or not."""
        self.again = not self.again
        self._show_plan()
        self._measure()

    # Saving

    def action_save(self) -> None:
        """Saves what the fields say as an experiment's file."""
        from lab.tui.screens.save_experiment import SaveExperimentScreen

        checked = self.checked
        if checked is None or checked.draft != self.draft or checked.experiment is None:
            self.app.notify("not saved: something in the fields is wrong yet", severity="warning", markup=False)
            return

        def saved(name: str | None) -> None:
            if name:
                self.experiment = name
                self._drafted()

        self.app.push_screen(SaveExperimentScreen(checked.experiment, self.draft.name or self.draft.stage), saved)

    # Queueing

    @on(Input.Submitted)
    def action_queue(self) -> None:
        """Queues what the fields say, unless something is wrong with them."""
        if self._queueing:
            return
        checked = self.checked
        if checked is not None and checked.draft == self.draft and checked.too_large is not None:
            self._ask_about_size(checked)
            return
        self._queue(confirmed=False)

    def _ask_about_size(self, checked: Check) -> None:
        too_large = checked.too_large
        if too_large is None or too_large.final:
            self.app.notify(f"not queued: {too_large}", severity="warning", markup=False)
            return

        def answered(sure: bool | None) -> None:
            if sure:
                self._queue(confirmed=True)

        question = ConfirmScreen("Queue them all?", f"{too_large.said}", yes="queue them", key="y")
        self.app.push_screen(question, answered)

    def _queue(self, *, confirmed: bool) -> None:
        draft, lab, again = self.draft, self.lab, self.again
        self._queueing = True

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            from lab.queue.experiment_requests import queue_plan

            try:
                checked = self._checked(draft, confirmed=confirmed)
                if checked.plan is None:
                    self.post_message(self.Checked(checked))
                    self.post_message(self.Queued("", failed=True))
                    return
                rows = queue_plan(lab.reader.store(), checked.plan, again=again)
                names = ", ".join(text.literal(row.name) for row in rows[:3]) + (" …" if len(rows) > 3 else "")
                kept = len(checked.plan.runs) - len(rows)
                if not rows:
                    nothing = "nothing to queue: all of it is stored already (ctrl+r trains it again)"
                    self.post_message(self.Queued(nothing, failed=True))
                    return
                reused = f"; {text.plural(kept, 'run')} stored already" if kept else ""
                self.post_message(self.Queued(f"queued {text.plural(len(rows), 'run')}: {names}{reused}"))
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
