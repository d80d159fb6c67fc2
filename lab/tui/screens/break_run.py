"""Breaking one thing in a run: what there is to break, and the key that opens it from any screen with a run on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import OptionList

from lab import text
from lab.errors import LabError
from lab.tui.messages import Edited
from lab.tui.screens.lab_screen import LabScreen
from lab.tui.screens.window import Window
from lab.tui.widgets.run_columns import STATUS_SIGNS, Look
from lab.tui.widgets.safe_list import SafeList

if TYPE_CHECKING:
    from lab.queue.break_requests import Offer, Pair
    from lab.store.run_store import NewRun, RunRow

LABEL_WIDTH = 24


class BreakActions(LabScreen):
    """The key that breaks one thing in the run under the cursor; a screen that shows runs is one of these."""

    @property
    def run(self) -> RunRow | None:
        """The run under the cursor."""
        raise NotImplementedError

    def action_break_run(self) -> None:
        """Asks what to break, queues the twin unless it is there, and shows the two together."""
        from lab.queue.break_requests import offers_of, pairs_with

        run, lab = self.run, self.lab
        if run is None:
            lab.notify("no run is selected", severity="warning", markup=False)
            return
        try:
            offers, pairs = offers_of(run, lab.snapshot.runs), pairs_with(run, lab.snapshot.runs)
        except LabError as error:
            lab.notify(text.literal(str(error)), severity="warning", markup=False)
            return
        screen = BreakScreen(run, offers, [(pair, lab.snapshot.by_id[pair.original]) for pair in pairs],
                             self.look_of_app())  # fmt: skip
        self.app.push_screen(screen, partial(self._broken, run))

    def _broken(self, run: RunRow, chosen: Pair | Offer | None) -> None:
        from lab.queue.break_requests import Pair

        if chosen is None:
            return
        if isinstance(chosen, Pair):
            self._race(chosen)
        elif chosen.stored is not None:
            self._race(Pair(run.id, chosen.stored.id, chosen.breakage))
        else:
            self.run_worker(partial(self._queue_twin, run, chosen), thread=True, group="edits", exit_on_error=False)

    def _queue_twin(self, run: RunRow, offer: Offer) -> None:
        """On a thread."""
        from sqlalchemy.exc import SQLAlchemyError

        from lab.queue.break_requests import Pair, compose_twin

        lab = self.lab
        try:
            with lab.edits.lock:
                store = lab.reader.store()
                new: NewRun = compose_twin(run, offer, store)
                twin = lab.edits.add_child(store, new)
        except (LabError, SQLAlchemyError) as error:
            lab.post_message(Edited(f"not queued: {getattr(error, 'orig', None) or error}", failed=True))
            return
        lab.minder.retry_now()
        lab.post_message(Edited(f"{text.literal(twin.name)}: queued, on the batches of {text.literal(run.name)}"))
        lab.call_from_thread(self._race, Pair(run.id, twin.id, offer.breakage))

    def _race(self, pair: Pair) -> None:
        from lab.tui.screens.race import RaceScreen

        if isinstance(self.app.screen, LabScreen):
            self.app.push_screen(RaceScreen(pair))


class BreakScreen(Window["Pair | Offer | None"]):
    """Lists what can be broken in a run and what to expect of it; answers what was chosen."""

    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("escape,q", "leave", show=False),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]

    def __init__(self, run: RunRow, offers: Sequence[Offer], pairs: Sequence[tuple[Pair, RunRow]], look: Look) -> None:
        super().__init__()
        self._run, self._look = run, look
        self._options: list[tuple[Pair | Offer, Text]] = [
            *((pair, self._raced(pair, original)) for pair, original in pairs),
            *((offer, self._offered(offer)) for offer in offers),
        ]

    def compose(self) -> ComposeResult:
        """The list."""
        with Vertical(id="break") as box:
            box.border_title = Text(f"Break one thing in {text.clip(text.literal(self._run.name), 40)}")
            box.border_subtitle = "enter train its twin on the same batches, and race the two · esc leave"
            yield SafeList(*(said for _, said in self._options), id="breakages", markup=False)

    def _offered(self, offer: Offer) -> Text:
        look = self._look
        muted = look.colour("text-muted")
        said = Text(f"{offer.breakage.label:<{LABEL_WIDTH}}", "bold")
        said.append(_changes(self._run, offer), look.colour("accent"))
        if offer.stored is not None:
            sign, word, colour = STATUS_SIGNS.get(offer.stored.status, ("?", offer.stored.status, "error"))
            said.append(f"  {sign} {word}", look.colour(colour))
            if offer.stored.val_loss is not None:
                said.append(f", val {text.loss(offer.stored.val_loss)}", muted)
        said.append(f"\n  {offer.breakage.expect}", f"not bold {muted}")
        return said

    def _raced(self, pair: Pair, original: RunRow) -> Text:
        said = Text(f"{pair.breakage.label:<{LABEL_WIDTH}}", "bold")
        said.append("is what this run has broken", self._look.colour("accent"))
        said.append(
            f"\n  it races against {text.literal(original.name)}", f"not bold {self._look.colour('text-muted')}"
        )
        return said

    def action_leave(self) -> None:
        """Goes back with nothing broken."""
        self.dismiss(None)

    def action_move(self, by: int) -> None:
        """To the next or the one before."""
        options = self.query_one(OptionList)
        (options.action_cursor_down if by > 0 else options.action_cursor_up)()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._options[event.option_index][0])

    def on_key(self, event: events.Key) -> None:
        """`b` again closes it, as it opened it."""
        if event.key == "b":
            event.stop()
            self.dismiss(None)


def _changes(run: RunRow, offer: Offer) -> str:
    """What is set otherwise, as one types it."""
    old, new = run.config, offer.twin.config
    names = [name for name in type(new).model_fields if getattr(new, name) != getattr(old, name)]
    return text.literal(" ".join(f"{name}={text.shown_value(getattr(new, name))}" for name in names))
