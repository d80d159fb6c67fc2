"""What a person can do in the Inspect mode: ask, step through checkpoints, set models side by side, change options."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from textual.timer import Timer

from lab.datasets.tokenizer import visible
from lab.inference.figures import Choice, Page
from lab.inference.protocol import InspectRequest
from lab.inference.views import InspectOptions, View
from lab.tui.inspecting import COMPARING, Inspecting, KeptPages, PageKey, meant, options_read
from lab.tui.screens.inspect_pages import FIRST, SECOND, InspectPages
from lab.tui.widgets.page_view import PageView
from lab.tui.widgets.question_line import Question, QuestionLine
from lab.tui.widgets.view_list import ViewList

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

ASK_AFTER_SECONDS = 0.08
"""From a choice until the helper is asked: who goes down a list asks for the last of it."""
_FOREIGN_SHOWN = 8


class InspectActions(InspectPages):
    """Questions to the helper, one for each page that is shown; what is not wanted any more is ended."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, Inspecting] = {}
        self.options = InspectOptions()
        self.kept = KeptPages()
        self.beside: tuple[str, str] | None = None
        """Run and checkpoint of the second page."""
        self.adopted: str | None = None
        """The run under the cursor of the Runs that was last taken over."""
        self.to_choose: tuple[str, str] | None = None
        """Run and checkpoint that are to be chosen once they are listed."""
        self._ask_timer: Timer | None = None

    @property
    def view(self) -> View:
        """The view under the cursor."""
        raise NotImplementedError

    def why_nothing(self, name: str, run: RunRow | None) -> str:
        """Why a view of a run is not asked for; empty where it is."""
        raise NotImplementedError

    def show_results(self) -> None:
        """Shows the pages as far as they have come."""
        raise NotImplementedError

    def follow_answers(self) -> None:
        """Looks for answers until they are there."""
        raise NotImplementedError

    @property
    def has_beside(self) -> bool:
        """Whether a second page is shown; some views set both models on one page."""
        return self.beside is not None and self.view.name not in COMPARING

    @property
    def active(self) -> bool:
        """Whether more is to come."""
        return self._ask_timer is not None or any(asked.active for asked in self.asked.values())

    # Asking

    def ask(self) -> None:
        """Has the pages that are chosen come: at once where they are kept, else from the helper a moment later."""
        wanted = self._wanted()
        for name in list(self.asked):
            if name not in wanted or wanted[name].key != self.asked[name].key:
                self.asked.pop(name).stop(self.lab.inference)
        missing = False
        for name, asked in wanted.items():
            page = self.kept.get(asked.key)
            if name not in self.asked and page is not None:
                asked.page, asked.state = page, "done"
                self.asked[name] = asked
            missing = missing or name not in self.asked
        if missing and self._ask_timer is None:
            self._ask_timer = self.set_timer(ASK_AFTER_SECONDS, self._ask_now)

    def _ask_now(self) -> None:
        self._ask_timer = None
        if not self.is_whole:
            return
        for name, asked in self._wanted().items():
            if name not in self.asked:
                self.asked[name] = asked
                asked.ask(self.lab.inference)
                self.follow_answers()
        self.show_results()
        self.show_bars()

    def take_answers(self) -> bool:
        """Takes in what has come; a page that is there is kept. False where there was nothing."""
        came = False
        for asked in self.asked.values():
            came = asked.take_in() or came
            if asked.page is not None:
                self.kept.put(asked.key, asked.page)
        return came

    def _wanted(self) -> dict[str, Inspecting]:
        """The questions that the pages on the screen are answers to."""
        lists, wanted = self.lists(), {}
        models = {FIRST: (lists.run_id, lists.checkpoint)}
        if self.beside is not None and self.has_beside:
            models[SECOND] = self.beside
        for name, (run_id, checkpoint) in models.items():
            run = self.run_of(run_id)
            if run is None or self.why_nothing(name, run):
                continue
            options = self._options()
            key = self._key(name, run, checkpoint, options)
            if key is not None:
                request = InspectRequest(str(self.lab.database.resolve()), run.id, self.view.name, checkpoint, options)
                wanted[name] = Inspecting(request, key)
        return wanted

    def _options(self) -> InspectOptions:
        """What the view reads of the options; one that sets two models beside each other itself gets the second."""
        options = self.options
        if self.beside is not None and not self.has_beside:
            options = dataclasses.replace(options, other=self.beside[0], other_checkpoint=self.beside[1])
        return options_read(self.view, options)

    def _key(self, name: str, run: RunRow, checkpoint: str, options: InspectOptions) -> PageKey | None:
        """All that a page depends on; None while the run's checkpoints are not known.

        A page that takes long does not follow the checkpoints that a training run goes on to write, and neither does
        the second one.
        """
        if not self.view.needs_checkpoint:
            return self.view.name, run.id, "", options, ""
        key = (self.view.name, run.id, checkpoint, options)
        if name == SECOND:
            return *key, name
        if self.choices.run_id != run.id:
            return None
        row, asked = meant(self.choices.checkpoints, checkpoint), self.asked.get(name)
        if self.view.kept and asked is not None and asked.key[: len(key)] == key:
            return asked.key
        return (*key, row.sha256) if row is not None else None

    # Keys

    def action_look(self) -> None:
        """Goes to the page; there, gives the figure all the room."""
        if self.tab in ("page", "beside"):
            self.action_zoom()
        else:
            self.turn_to("page")

    def action_stop_inspecting(self) -> None:
        """Stops what is computed; else leaves the zoom, the second page, and the page for the list of views."""
        if any(asked.active for asked in self.asked.values()):
            for asked in self.asked.values():
                asked.stop(self.lab.inference)
            self.show_results()
            self.show_bars()
        elif self.zoomed:
            self.action_zoom()
        else:
            self.turn_to("views")

    def action_inspect_again(self) -> None:
        """Asks again for what failed or was stopped."""
        for name in [name for name, asked in self.asked.items() if asked.state in ("failed", "stopped")]:
            del self.asked[name]
        self.show()

    def action_later_checkpoint(self, by: int = 1) -> None:
        """Goes to the run's next checkpoint, by its step."""
        steps = sorted({row.step for row in self.choices.checkpoints})
        row = meant(self.choices.checkpoints, self.lists().checkpoint)
        if row is None or self.choices.run_id != self.lists().run_id:
            return
        place = min(max(steps.index(row.step) + by, 0), len(steps) - 1)
        if steps[place] != row.step:
            self.lists().choose_checkpoint(str(steps[place]))

    def action_earlier_checkpoint(self) -> None:
        """Goes to the checkpoint before."""
        self.action_later_checkpoint(-1)

    def action_side_by_side(self) -> None:
        """Keeps the chosen run and checkpoint as a second page, or takes that away."""
        lists = self.lists()
        if lists.run_id is None:
            return
        chosen = (lists.run_id, lists.checkpoint)
        self.beside = None if self.beside is not None and self.beside == chosen else chosen
        if self.beside is None and self.tab == "beside":
            self.turn_to("page")
        self.show()

    # What a view reads

    def set_option(self, name: str, value: str | int) -> None:
        """Sets one of the views' options."""
        kind = type(getattr(self.options, name))
        self.options = dataclasses.replace(self.options, **{name: kind(value)})

    def action_inspect_prompt(self) -> None:
        """Asks for the prompt that is looked at."""
        if "prompt" not in self.view.options:
            return
        known = self.choices.vocabulary

        def check(typed: str) -> str:
            foreign = sorted(set(typed) - set(known)) if known else []
            if foreign:
                from lab.errors import PromptError

                named = " ".join(visible(character) for character in foreign[:_FOREIGN_SHOWN])
                raise PromptError(f"the run has never seen {named}: its text has {len(known)} characters")
            return "looks at it" if typed else "looks at a text of the validation split"

        def answer(typed: str) -> None:
            self.set_option("prompt", typed)
            self.show()

        question = Question("prompt:", self.options.prompt, check, answer, "a text of the run's own characters")
        self.query_one(QuestionLine).ask(question)

    @property
    def page(self) -> Page | None:
        """The page that is shown first."""
        return self.query_one(f"#{FIRST}", PageView).page

    def action_option_more(self, by: int = 1) -> None:
        """Sets the page's first option to its next value."""
        page = self.page
        choice = page.choices[0] if page is not None and page.choices else None
        if choice is None or not choice.values:
            return
        here = choice.values.index(choice.chosen) if choice.chosen in choice.values else 0
        self._choose(choice, min(max(here + by, 0), len(choice.values) - 1))

    def action_option_less(self) -> None:
        """Sets it to the value before."""
        self.action_option_more(-1)

    def _choose(self, choice: Choice, place: int) -> None:
        value = choice.values[place]
        if value == choice.chosen:
            return
        if choice.option == "checkpoint":
            self.lists().choose_checkpoint(value)
        else:
            self.set_option(choice.option, value if value else getattr(InspectOptions(), choice.option))
            self.show()

    def action_choose_option(self) -> None:
        """Lists what can be set on this page, and to what."""
        from lab.tui.screens.choice import ChoiceScreen

        page = self.page
        offered = [(choice, place) for choice in (page.choices if page else ()) for place in range(len(choice.values))]
        if not offered:
            self.app.notify("nothing can be set on this page", markup=False, timeout=3)
            return

        def chosen(answer: tuple[int, str] | None) -> None:
            if answer is not None:
                self._choose(*offered[answer[0]])

        said = [_said_choice(choice, place) for choice, place in offered]
        self.app.push_screen(ChoiceScreen("What the view shows", said, [("enter", "choose")]), chosen)

    def open_on(self, run_id: str | None, view: str) -> None:
        """Shows a run, where one is named, by a view."""
        if run_id is not None:
            self.adopted = None  # it is taken over again, though it was before
        if view:
            self.query_one(ViewList).choose(view)
        self.show()


def _said_choice(choice: Choice, place: int) -> str:
    value = choice.values[place]
    mark = "●" if value == choice.chosen else " "
    return f"{mark} {choice.option.replace('_', ' ')}  {value or 'any'}"
