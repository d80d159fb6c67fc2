"""The composer of LR sweeps: a stage, a method, seeds and a range; checked as one types, and queued by enter."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from lab import text
from lab.tui.screens.draft_window import DraftWindow, StagedDraftWindow
from lab.tui.sweep_draft import FIELDS, PLACEHOLDERS, SweepCheck, SweepDraft, check_sweep
from lab.tui.sweeps import said_lr
from lab.tui.theme import theme_colours
from lab.tui.widgets.safe_list import SafeList


class SweepComposerScreen(StagedDraftWindow[SweepDraft, SweepCheck]):
    """Composes a sweep and queues it; its result is the id of the run."""

    BINDINGS = [Binding("ctrl+s", "queue", show=False)]  # noqa: RUF012 (Textual's own form)

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
        self.choose_stage(self.draft.stage)
        self.stages.focus()
        self.drafted()

    @on(OptionList.OptionHighlighted, "#stages")
    def _stage_chosen(self, event: OptionList.OptionHighlighted) -> None:
        stage = event.option.id or ""
        if stage != self.draft.stage:
            self.draft = SweepDraft(stage, self.draft.values)
            self.drafted()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        name = (event.input.id or "").removeprefix("field-")
        if self.draft.values.get(name, "") != event.value:
            self.draft = self.draft.with_value(name, event.value)
            self.drafted()

    def check(self, draft: SweepDraft) -> SweepCheck:
        return check_sweep(draft, self.lab.database)

    def unchecked(self, draft: SweepDraft, said: str) -> SweepCheck:
        return SweepCheck(draft, errors={"stage": said})

    async def show_check(self, check: SweepCheck) -> None:
        self.query_one("#sweep-preview", Static).update(self._preview(check))

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

    @on(OptionList.OptionSelected, "#stages")
    def _stage_entered(self) -> None:
        self.action_queue()

    def enqueue(self, draft: SweepDraft) -> DraftWindow.Queued:
        checked = self.check(draft)
        if checked.new is None:
            return self.refused(checked)
        row = self.lab.reader.store().add_runs([checked.new])[0]
        return self.Queued(row.id, f"queued: {text.literal(row.name)}")
