"""The composer: a stage, what to change, seeds; checked as one types, a grid where a field has several values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from lab import text
from lab.errors import GridTooLargeError
from lab.tui.drafts import (
    FIELDS,
    GROUPS,
    OWN,
    Check,
    Draft,
    check,
    complete_setting,
    group_keys,
    queue_draft,
    typed_settings,
    usual_values,
)
from lab.tui.screens.confirm import ConfirmScreen
from lab.tui.screens.draft_window import DraftWindow, StagedDraftWindow
from lab.tui.theme import theme_colours
from lab.tui.widgets.config_group import ConfigGroup
from lab.tui.widgets.draft_text import draft_text, placeholders
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.safe_list import SafeList

if TYPE_CHECKING:
    from lab.config.named_model import NamedModel
    from lab.queue.experiment_requests import DatasetReader, Plan
    from lab.store.run_store import NewRun

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
        self.model: NamedModel | None = None

    async def get_suggestion(self, value: str) -> str | None:
        """The line as it may go on."""
        return complete_setting(self.model, value) if self.model is not None else None


class ComposerScreen(StagedDraftWindow[Draft, Check]):
    """Composes runs and queues them; its result is what was queued, in a line."""

    CSS_PATH = "composer.tcss"
    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("ctrl+s", "save", show=False, priority=True),
        Binding("ctrl+r", "again", show=False, priority=True),
        Binding("pagedown", "scroll_list(1)", show=False),
        Binding("pageup", "scroll_list(-1)", show=False),
    ]

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft)
        self.again = False
        self.experiment = ""
        """The name that it was saved under as an experiment."""
        self._measure_timer: Timer | None = None
        self._suggester = SettingSuggester()
        self._read: DatasetReader | None = None

    def compose(self) -> ComposeResult:
        """Stages on the left, fields beside them, and what they come to beside or below those."""
        from lab.config.ladder import STAGES

        options = [*(Option(stage.name, id=stage.name) for stage in STAGES), Option("your own", id=OWN)]
        with Vertical(id="composer") as box:
            box.border_title = "New run"
            with Horizontal():
                yield SafeList(*options, id="stages", compact=True)
                with Vertical(id="form"):
                    with VerticalScroll(id="fields", can_focus=False):
                        for name in FIELDS:
                            yield from self._field(name)
                        with Vertical(id="groups"):
                            yield from (ConfigGroup(name) for name in GROUPS)
                    with VerticalScroll(id="preview-scroll", can_focus=False):
                        yield Static(id="preview", markup=False)

    def _field(self, name: str) -> ComposeResult:
        with Horizontal(id=f"row-{name}", classes="field"):
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
        self.choose_stage(self.draft.stage)
        (self.query_one("#field-change") if self.draft != Draft(self.draft.stage) else self.stages).focus()
        self._know_model()
        self.watch(self.app, "measured", self._show_plan, init=False)
        self._show_shape()
        await self._show_groups()
        self.drafted()

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
            self._know_model()
            await self._show_groups()
            self.drafted()

    @on(OptionList.OptionSelected, "#stages")
    def _stage_entered(self) -> None:
        self.query_one("#field-model" if self.draft.stage == OWN else "#field-change").focus()

    def _know_model(self) -> None:
        """Takes up the rung, or the model that a run has kept; a file that is named is read with the next check."""
        self.query_one("#row-model").display = self.draft.stage == OWN
        known = self.draft.stage != OWN or self.draft.is_kept
        self._suggester.model = self.draft.named_model() if known else None

    @property
    def model(self) -> NamedModel | None:
        """The model that the fields are about: the last that could be read."""
        return self._suggester.model

    @on(Input.Changed)
    async def _typed(self, event: Input.Changed) -> None:
        name = (event.input.id or "").removeprefix("field-")
        if name in FIELDS and getattr(self.draft, name) != event.value:
            self.draft = replace(self.draft, **{name: event.value})  # type: ignore[arg-type]
            if name == "change":
                await self._show_groups()
            self.drafted()

    @on(ConfigGroup.Changed)
    async def _setting_typed(self, event: ConfigGroup.Changed) -> None:
        self.draft = self.draft.with_setting(event.key, event.value)
        self.query_one("#field-change", Input).value = self.draft.change
        await self._show_groups()
        self.drafted()

    async def _show_groups(self) -> None:
        """Has the groups show what is typed now, and what was wrong when it was last checked."""
        self.query_one("#groups").display = self.model is not None
        if self.model is None:
            return
        usual, (typed, _) = usual_values(self.model), typed_settings(self.draft.change)
        errors = self.checked.key_errors if self.checked is not None else {}
        look = self._look()
        for name, keys in group_keys(self.model).items():
            await self.query_one(f"#group-{name}", ConfigGroup).show(keys, usual, typed, errors, look)

    def drafted(self) -> None:
        """Measures nothing either until no key comes for a moment."""
        if self._measure_timer is not None:
            self._measure_timer.stop()
        super().drafted()
        self._show_placeholders()

    def check(self, draft: Draft) -> Check:
        return self._check_grid(draft, confirmed=False)

    def unchecked(self, draft: Draft, said: str) -> Check:
        return Check(draft, errors={"change": said})

    def _check_grid(self, draft: Draft, *, confirmed: bool) -> Check:
        from lab.queue.experiment_requests import DatasetReader

        if self._read is None:
            self._read = DatasetReader(self.lab.database)
        stored = self.lab.reader.store().runs()
        return check(draft, self._read, stored, confirmed=confirmed, experiment_name=self.experiment)

    async def show_check(self, check: Check) -> None:
        self._suggester.model = check.model or self.model
        self._show_placeholders()
        for name in FIELDS:
            error = self.query_one(f"#error-{name}", Static)
            said = check.errors.get(name, "")
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
        for name, placeholder in placeholders(self.model).items():
            self.query_one(f"#field-{name}", Input).placeholder = placeholder

    # What it comes to

    def _look(self) -> Look:
        return Look(colours=theme_colours(self.app.theme_variables))

    def _show_plan(self) -> None:
        if self.is_mounted and self.checked is not None and self.checked.draft == self.draft:
            self.query_one("#preview", Static).update(self._preview(self.checked))

    def _preview(self, checked: Check) -> Text:
        wanted = self._to_queue(checked.plan) if checked.plan is not None else ()
        time = self.lab.estimates.estimate(wanted, self.lab.snapshot).said if wanted else ""
        return draft_text(
            checked,
            self.lab.estimates,
            time=time,
            saved=self.experiment,
            again=self.again,
            look=self._look(),
            width=max(40, self.query_one("#preview").size.width),
        )

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
        if self.draft.is_kept:
            said = "not saved: an experiment names the model's file; type its path, such as ./my_model.py:MyModel"
            self.app.notify(said, severity="warning", markup=False)
            return

        def saved(name: str | None) -> None:
            if name:
                self.experiment = name
                self.drafted()

        name = self.draft.name or (self.model.stage if self.model is not None else "")
        self.app.push_screen(SaveExperimentScreen(checked.experiment, name), saved)

    # Queueing

    def action_queue(self) -> None:
        """Queues what the fields say, unless something is wrong with them."""
        checked = self.checked
        if checked is not None and checked.draft == self.draft and checked.too_large is not None:
            self._ask_about_size(checked.too_large)
        else:
            super().action_queue()

    def _ask_about_size(self, too_large: GridTooLargeError) -> None:
        if too_large.final:
            self.app.notify(f"not queued: {too_large}", severity="warning", markup=False)
            return

        def answered(sure: bool | None) -> None:
            if sure:
                self.queue(partial(self._enqueue, confirmed=True))

        question = ConfirmScreen("Queue them all?", too_large.said, yes="queue them", key="y")
        self.app.push_screen(question, answered)

    def enqueue(self, draft: Draft) -> DraftWindow.Queued:
        return self._enqueue(draft, confirmed=False)

    def _enqueue(self, draft: Draft, *, confirmed: bool) -> DraftWindow.Queued:
        checked = self._check_grid(draft, confirmed=confirmed)
        if checked.plan is None:
            return self.refused(checked)
        said = queue_draft(self.lab.reader.store(), draft, checked.plan, again=self.again)
        return self.Queued(said, said)
