"""What the Runs alone can do to runs: queue again, tag, annotate, write out, move in the queue, empty the trash."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lab import text
from lab.errors import LabError, UsageError
from lab.tui.edits import Edits
from lab.tui.messages import Edited
from lab.tui.screens.queue_actions import QueueActions
from lab.tui.widgets.question_line import Question, QuestionLine

if TYPE_CHECKING:
    from lab.store.run_store import RunRow, RunStore
    from lab.store.trash import Contents


class RunActions(QueueActions):
    """The keys that change the chosen runs; a line at the bottom asks where there is more to say."""

    def _ask_for(self, question: Question) -> None:
        self.query_one(QuestionLine).ask(question)

    def _selected(self, *, most: int = 0) -> tuple[RunRow, ...]:
        """The chosen runs; says so where there is none."""
        if not self.chosen:
            self.lab.notify("no run is selected", severity="warning", markup=False)
        return self.chosen

    def action_again(self) -> None:
        """Asks for seeds, and queues the runs again with them."""
        from lab.tui.typed_words import new_seeds, seeds_by_group

        runs = self._selected()
        others = [run for run in runs if run.kind != "training"]
        if others:
            said = (
                f"{text.literal(others[0].name)} is of kind {text.literal(others[0].kind)}: only trainings have seeds"
            )
            self.lab.notify(said, severity="warning", markup=False)
        if not runs or others:
            return
        taken = seeds_by_group(self.lab.snapshot.runs)

        def check(typed: str) -> str:
            seeds = new_seeds(typed, runs, taken)
            count = sum(map(len, seeds.values()))
            which = ", ".join(map(str, next(iter(seeds.values()))[:6])) if len(seeds) == 1 else "new ones of each"
            return f"queues {text.plural(count, 'run')}: seeds {which}"

        def answer(typed: str) -> None:
            seeds = new_seeds(typed, runs, taken)
            lab = self.lab
            lab.minder.retry_now()
            lab.edit(lambda: lab.edits.again(lab.reader.store(), runs, lambda run: seeds.get(run.id, ())))

        self._ask_for(Question(f"{_named(runs)} again, seeds:", "+2", check, answer, "+2, or 1 2 3, or 1..5"))

    def action_tag(self) -> None:
        """Asks for tags: all of one run's, or those to add to and take from several."""
        from lab.tui.typed_words import parse_tags, said_of_tags

        runs = self._selected()
        if not runs:
            return
        one = runs[0] if len(runs) == 1 else None

        def tags_of(typed: str, run: RunRow) -> tuple[str, ...]:
            words = parse_tags(typed)
            return words.added if one is not None else words.of(run)

        def check(typed: str) -> str:
            words = parse_tags(typed)
            if one is None:
                return said_of_tags(words, runs)
            if words.removed:
                raise UsageError("delete the word to take a tag away")
            return f"keeps {text.plural(len(words.added), 'tag')}"

        def answer(typed: str) -> None:
            self.edit_runs(runs, lambda edits, store, runs: edits.tag(store, runs, partial(tags_of, typed)))

        typed = " ".join(one.tags) + " " if one is not None and one.tags else ""
        example = "base quick" if one is not None else "base adds a tag, -quick takes one away"
        self._ask_for(Question(f"tags of {_named(runs)}:", typed, check, answer, example))

    def edit_runs(self, runs: tuple[RunRow, ...], change: object) -> None:
        """Changes these runs on a thread, whatever is chosen by then."""
        lab = self.lab
        lab.edit(lambda: change(lab.edits, lab.reader.store(), runs))  # type: ignore[operator]

    def action_notes(self) -> None:
        """Opens the notes of the run under the cursor."""
        from lab.tui.screens.notes import NotesScreen

        run = self.run
        if run is None:
            return

        def keep(notes: str | None) -> None:
            if notes is not None and notes != run.notes:
                self.edit_runs((run,), lambda edits, store, runs: edits.note(store, runs[0], notes))

        self.app.push_screen(NotesScreen(run.name, run.notes), keep)

    def action_export(self) -> None:
        """Asks for a file, and writes the runs to it with their metrics, configs and results."""
        from lab.reports.run_export import check_target

        runs = self._selected()
        if not runs:
            return

        def check(typed: str) -> str:
            path = check_target(Path(typed.strip()))
            if path.exists():
                raise UsageError(f"{path.name} is there already: give another name")
            kind = "a row for every step" if path.suffix.lower() == ".csv" else "a line of JSON for each"
            return f"writes {text.plural(len(runs), 'run')}, {kind}"

        def answer(typed: str) -> None:
            path = Path(typed.strip()).expanduser().absolute()
            self.edit_runs(runs, lambda edits, store, runs: _written(store, runs, path))

        self._ask_for(Question(f"write {_named(runs)} to:", _free_name(runs), check, answer, "runs.csv or runs.jsonl"))

    # The queue's order

    def action_move_up(self) -> None:
        """Moves the waiting runs one place ahead."""
        self.edit_chosen(partial(_move, by=-1))

    def action_move_down(self) -> None:
        """Moves them one place back."""
        self.edit_chosen(partial(_move, by=1))

    def action_move_first(self) -> None:
        """Moves them to the head of the queue."""
        self.edit_chosen(partial(_move, by=None))

    # The trash

    def action_restore(self) -> None:
        """Takes the runs out of the trash."""
        self.edit_chosen(Edits.restore)

    def action_delete_for_good(self) -> None:
        """Says what would be gone, asks, and deletes the runs with their files."""
        runs = self._selected()
        if runs:
            self.run_worker(partial(self._count_contents, runs), thread=True, group="edits", exit_on_error=False)

    def _count_contents(self, runs: tuple[RunRow, ...]) -> None:
        from lab.store import trash

        try:
            found = trash.contents(self.lab.reader.store(), [run.id for run in runs])
        except LabError as error:
            self.app.post_message(Edited(str(error), failed=True))
            return
        self.app.call_from_thread(self._ask_to_delete, runs, found)

    def _ask_to_delete(self, runs: tuple[RunRow, ...], found: Contents) -> None:
        from lab.tui.screens.confirm import ConfirmScreen

        def answered(sure: bool | None) -> None:
            if sure:
                self.edit_runs(runs, Edits.delete_for_good)

        said = (
            f"{_named(runs)}, with {text.si(found.points)} recorded points and {text.plural(found.files, 'file')} "
            f"({text.si(found.file_bytes)}B of checkpoints). This cannot be undone."
        )
        self.app.push_screen(ConfirmScreen("Delete for good?", said, yes="delete", key="d"), answered)


def _named(runs: tuple[RunRow, ...]) -> str:
    return text.literal(runs[0].name) if len(runs) == 1 else f"{len(runs):,} marked runs"


def _move(edits: Edits, store: RunStore, runs: tuple[RunRow, ...], *, by: int | None) -> str:
    return edits.move(store, runs, by)


def _written(store: RunStore, runs: tuple[RunRow, ...], path: Path) -> str:
    from lab.reports.run_export import export_runs

    size = export_runs(store, runs, path)
    return f"{text.plural(len(runs), 'run')} written to {text.literal(str(path))} ({text.si(size)}B)"


def _free_name(runs: tuple[RunRow, ...]) -> str:
    """A file's name that is not taken, after the run where it is one."""
    base = "".join(c if c.isalnum() or c in "-_." else "-" for c in runs[0].name)[:60].strip(".-") or "run"
    base = base if len(runs) == 1 else "runs"
    names = (f"{base}{f'-{n}' if n > 1 else ''}.csv" for n in range(1, 1000))
    return next((name for name in names if not Path(name).exists()), "")
