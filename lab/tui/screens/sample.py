"""The Sample mode: text from any stored run and checkpoint, as it is written, with what the model thought came next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from lab.tui.actions import Situation, bindings, footer_actions
from lab.tui.sample_draft import Checked, SampleDraft, check_draft
from lab.tui.screens.run_choices import absence
from lab.tui.screens.sample_choices import SampleChoices
from lab.tui.screens.sample_pages import FIRST, PAGES, SECOND
from lab.tui.shown import Shown, file_stem, of_run, of_text
from lab.tui.theme import theme_colours
from lab.tui.widgets.bars import KeyBar, PaneStrip, StatusBar
from lab.tui.widgets.model_lists import ModelLists
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.sample_form import SampleForm
from lab.tui.widgets.written_pane import PaneFacts, WrittenPane
from lab.tui.writing import Writing

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

REDRAWS_A_SECOND = 20
FAR = 10
_FIRST_KEYS = """enter  writes a text
→      writes one character at a time, with what else it might have been
i      the prompt: what the text goes on from
space  keeps this model beside the one that you choose next
tab    goes on: runs, checkpoints, prompt, temp …"""


class SampleScreen(SampleChoices):
    """What is chosen and what is written live here; the widgets show it."""

    MODE = "sample"
    CSS_PATH = "sample.tcss"
    BINDINGS = bindings("sample", priority=("next_pane", "previous_pane"))
    AUTO_FOCUS = f"#{FIRST}-text"

    def __init__(self) -> None:
        super().__init__()
        self.writings: dict[str, Writing | None] = {FIRST: None, SECOND: None}
        self.beside: tuple[str, str] | None = None
        """Run and checkpoint of the second pane."""
        self.checked = Checked()
        self._adopted: str | None = None
        """The run under the cursor of the Runs that was last taken over."""
        self._to_choose: tuple[str, str] | None = None
        """Run and checkpoint that were remembered, until they are listed."""

    def compose(self) -> ComposeResult:
        """Models on the left; texts over the form on the right."""
        yield StatusBar(id="status")
        yield PaneStrip(PAGES, id="strip")
        with Horizontal(id="sample-body"):
            yield ModelLists(id="model-lists")
            with Vertical(id="sample-right"):
                with Horizontal(id="panes"):
                    yield WrittenPane(id=FIRST)
                    yield WrittenPane(id=SECOND)
                yield SampleForm(id="sample-form")
        yield Static(self.too_small, id="too-small", markup=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Follows what is read."""
        self._ticks = self.set_interval(1 / REDRAWS_A_SECOND, self._take_in, pause=True)
        self.follow()
        self.show_pages()

    def on_screen_resume(self) -> None:
        """Takes over the run that is under the cursor of the Runs."""
        self._app_changed()

    # How it was left

    def layout_values(self) -> dict[str, Any]:
        """What is chosen and filled in."""
        lists, draft = self.query_one(ModelLists), self.query_one(SampleForm).draft
        return {
            "page": self.page,
            "prompt": draft.prompt,
            "fields": dict(draft.values),
            "model": list(self._to_choose or ((lists.run_id, lists.checkpoint) if lists.run_id else ())),
            "beside": list(self.beside or ()),
            "adopted": self._adopted,
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes that over, as far as the runs are still there."""
        if values.get("page") in PAGES:
            self.page = values["page"]
        self.query_one(SampleForm).fill_in(SampleDraft.from_plain(values.get("prompt"), values.get("fields")))
        self._to_choose = self.model_of(values.get("model"))
        self.beside = self.model_of(values.get("beside"))
        self._adopted = values.get("adopted") if self._to_choose else None

    # What is chosen

    @property
    def run(self) -> RunRow | None:
        """The run that writes."""
        return self.run_of(self.query_one(ModelLists).run_id)

    @property
    def writing(self) -> Writing | None:
        """What is being written, or was last."""
        return self.writings[FIRST]

    @property
    def active(self) -> bool:
        """Whether more is to come."""
        return any(writing is not None and writing.active for writing in self.writings.values())

    @property
    def situation(self) -> Situation:
        """What the footer goes by."""
        run = self.run
        return Situation(
            mode=self.MODE,
            status=run.status if run else None,
            runs=len(self.lab.snapshot.runs),
            single_pane=self.single,
            loaded=self.lab.loaded,
            writing=self.active,
            written=len(self.writing.tokens) if self.writing else 0,
            pane=self.app.focused.id or "" if self.app.focused else "",
        )

    def pointed_at(self) -> list[str]:
        """What is filled in or looked at."""
        focused = (self.app.focused.id or "" if self.app.focused else "").removeprefix("sample-")
        return [focused, "surprise", "best, last"]

    def in_view(self) -> list[str]:
        """What the form asks for."""
        return ["prompt", "temp", "top-k", "top-p", "seed", "choices"]

    def shown(self) -> list[Shown]:
        """What is written, the second pane's too; then the run that wrote it."""
        written = [writing for writing in self.writings.values() if writing is not None and writing.tokens]
        texts = [
            of_text(f"text by {writing.run.name}", writing.text, f"{file_stem(writing.run.name)}-text.txt")
            for writing in written
        ]
        return texts + (of_run(self.run) if self.run is not None else [])

    def _app_changed(self) -> None:
        if not (self.is_current and self.is_whole):
            return
        self.restore_once()
        self.read_choices()
        self.show()

    # Showing it

    def look(self) -> Look:
        """What colours depend on."""
        return Look(
            dark=self.app.current_theme.dark,
            colours=theme_colours(self.app.theme_variables),
            slots=self.lab.snapshot.slots,
        )

    def show_choices(self) -> None:
        """Lists what was read, and checks the form by the vocabulary."""
        self._show_models()
        self._check()

    def _show_models(self) -> None:
        lists, known = self.query_one(ModelLists), self.choices.with_checkpoints
        listed = [run for run in reversed(self.lab.snapshot.runs) if run.id in known]
        lists.show_runs(listed, self.beside[0] if self.beside else None, self.look())
        selected = self.run_of(self.lab.selected)
        is_new = selected is not None and selected.id != self._adopted
        lists.say_missing(absence(selected) if selected is not None and listed and selected.id not in known else "")
        if selected is not None and is_new and selected.id in known:
            self._adopted, self._to_choose = selected.id, None
            lists.choose_run(selected.id)
        elif self._to_choose is not None and self._to_choose[0] in known:
            lists.choose_run(self._to_choose[0])
        if self.choices.run_id == lists.run_id:
            lists.show_checkpoints(self.run, self.choices.checkpoints)
            if self._to_choose is not None and self._to_choose[0] == lists.run_id and self.choices.checkpoints:
                lists.choose_checkpoint(self._to_choose[1])
                self._to_choose = None

    def show(self) -> None:
        """Shows all but the lists."""
        if not self.is_mounted:
            return
        self.show_pages()
        self._show_models()
        self._show_pane(FIRST, self.run, self.query_one(ModelLists).checkpoint)
        if self.beside is not None:
            self._show_pane(SECOND, self.run_of(self.beside[0]), self.beside[1])
        self.show_bars()

    def _show_pane(self, name: str, run: RunRow | None, checkpoint: str) -> None:
        writing, look = self.writings[name], self.look()
        if writing is not None:
            run, checkpoint = writing.run, writing.request.checkpoint
        words = run is not None and run.dataset_kind == "words"
        facts = PaneFacts(
            title=_title(run, checkpoint),
            colour=look.colour_of(run.id) if run else look.colour("text-muted"),
            idle=self._idle(run),
            words=words,
            known=self.words.get(run.dataset_sha256) if run else None,
            colours=look.colours,
        )
        self.query_one(f"#{name}", WrittenPane).show(writing, facts)

    def _idle(self, run: RunRow | None) -> str:
        if not self.lab.loaded:
            return self.lab.opening
        if run is None:
            return "No run has a checkpoint yet. n in Runs (2) trains one; its first comes after some seconds."
        return _FIRST_KEYS

    def show_bars(self) -> None:
        colours = theme_colours(self.app.theme_variables)
        self.query_one(KeyBar).show(footer_actions(self.situation), colours)
        self.query_one(PaneStrip).show(PAGES.index(self.page), colours)
        self.show_status()

    # Choosing, and filling in

    @on(ModelLists.RunChosen)
    def _run_chosen(self) -> None:
        self.read_choices()
        self._forget()

    @on(ModelLists.CheckpointChosen)
    def _checkpoint_chosen(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """Another model has written nothing yet; what is being written goes on."""
        if not self.active:
            self.writings[FIRST] = None
        self.show()

    @on(SampleForm.Entered)
    def _entered(self) -> None:
        self.action_write()

    @on(SampleForm.Changed)
    def _typed(self) -> None:
        self._check()

    def _check(self) -> None:
        run = self.run
        words = run is not None and run.dataset_kind == "words"
        form = self.query_one(SampleForm)
        known = self.choices.vocabulary if run is not None and self.choices.run_id == run.id else ()
        self.checked = check_draft(form.draft, known, words=words)
        form.show(self.checked.errors, words=words, colour=self.look().colour("error"))
        self.show()

    # Writing

    def action_write(self) -> None:
        """Has text written; while it is, stops it; what was stepped through is shown whole."""
        writing = self.writing
        if writing is not None and writing.revealed is not None:
            self._each(Writing.reveal)
        elif self.active:
            self._stop()
        else:
            self._start()

    def _start(self, *, revealed: int | None = None) -> None:
        run = self.run
        if run is None or self.checked.errors:
            return
        lists, lab = self.query_one(ModelLists), self.lab
        models = {FIRST: (run.id, lists.checkpoint), SECOND: self.beside}
        for name, model in models.items():
            found = self.run_of(model[0]) if model else None
            if model is None or found is None:
                self.writings[name] = None
                continue
            request = self.checked.request(str(lab.database.resolve()), *model)
            writing = self.writings[name] = Writing(found, request, revealed=revealed)
            writing.ask(lab.inference)
        if self.single and self.page == "model":
            self.page = "text"
            self.show_pages()
        self.query_one(f"#{FIRST}-text").focus()
        self._ticks.resume()
        self.show()

    def _stop(self) -> None:
        for writing in self.writings.values():
            if writing is not None:
                writing.stop(self.lab.inference)
        self.show()

    def _take_in(self) -> None:
        """Some times a second while text comes: shows what has come."""
        writings = [writing for writing in self.writings.values() if writing is not None]
        active = self.active
        came = [writing.take_in() for writing in writings]
        if any(came) or not active:
            self.show()
        if not self.active:
            self._ticks.pause()

    def action_leave(self) -> None:
        """Stops what is being written, or leaves the form."""
        if self.active:
            self._stop()
        else:
            self.go_to_page("text")
            self.query_one(f"#{FIRST}-text").focus()

    def action_write_again(self) -> None:
        """The same with the next seed."""
        if self.active:
            self._stop()
        seed = int(self.checked.settings.get("seed", 1337)) + 1
        self.query_one(SampleForm).set_value("seed", str(seed))
        self._check()
        self._start()

    def action_step_forward(self, by: int = 1) -> None:
        """Looks at the next character; where none is written, has one written at a time."""
        if self.writing is None:
            self._start(revealed=by)
        else:
            self._each(lambda writing: writing.step(by))
        if self.single and self.writing is not None and self.page != "next":
            self.go_to_page("next")  # the bars follow

    def action_step_back(self, by: int = 1) -> None:
        """Looks at the character before."""
        self._each(lambda writing: writing.step(-by))

    def action_step_forward_far(self) -> None:
        """Ten characters on."""
        self.action_step_forward(FAR)

    def action_step_back_far(self) -> None:
        """Ten characters back."""
        self.action_step_back(FAR)

    def _each(self, change: Callable[[Writing], object]) -> None:
        for writing in self.writings.values():
            if writing is not None:
                change(writing)
        self.show()

    def action_beside(self) -> None:
        """Has the chosen model write in a second pane too, or takes it away."""
        run, lists = self.run, self.query_one(ModelLists)
        if run is None or self.active:
            return
        chosen = (run.id, lists.checkpoint)
        self.beside = None if self.beside == chosen else chosen
        self.writings[SECOND] = None
        self.show()

    def action_prompt(self) -> None:
        """Goes to the prompt."""
        self.go_to_page("text")
        self.query_one("#prompt").focus()


def _title(run: RunRow | None, checkpoint: str) -> str:
    if run is None:
        return "Text"
    return f"{run.name} · {checkpoint if checkpoint in ('best', 'last') else f'step {int(checkpoint):,}'}"
