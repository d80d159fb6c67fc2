"""What the Sample mode reads on threads: runs with checkpoints, their vocabulary, the words they learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from lab.errors import LabError
from lab.tui.screens.sample_pages import SamplePages

if TYPE_CHECKING:
    from lab.store.run_store import CheckpointRow, RunRow


class SampleChoices(SamplePages):
    """Reads what there is to choose among, each time that the runs have changed."""

    @dataclass
    class ChoicesRead(Message):
        """Which runs have checkpoints, and what there is to know of the chosen one."""

        with_checkpoints: frozenset[str]
        run_id: str | None = None
        checkpoints: tuple[CheckpointRow, ...] = ()
        vocabulary: tuple[str, ...] = ()

    @dataclass
    class WordsRead(Message):
        """The words of the training set that a run was trained on."""

        dataset: str
        words: frozenset[str]

    def __init__(self) -> None:
        super().__init__()
        self.choices = self.ChoicesRead(frozenset())
        self.words: dict[str, frozenset[str] | None] = {}
        """Of each dataset of words, by its SHA-256; None while they are read, and where the text is gone."""

    @property
    def run(self) -> RunRow | None:
        """The run that is chosen."""
        raise NotImplementedError

    def show_choices(self) -> None:
        """Shows what was read."""
        raise NotImplementedError

    def read_choices(self) -> None:
        """Which runs have checkpoints now, and which checkpoints the chosen one has."""
        lab, run = self.lab, self.run
        if not lab.loaded:
            return

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            try:
                store = lab.reader.store()
                with_checkpoints = store.with_checkpoints()
                if run is None:
                    self.post_message(self.ChoicesRead(with_checkpoints))
                    return
                facts = store.dataset(run.dataset_sha256, run.dataset_kind)
                vocabulary = facts.vocabulary if facts else ()
                checkpoints = tuple(store.checkpoints(run.id))
                self.post_message(self.ChoicesRead(with_checkpoints, run.id, checkpoints, vocabulary))
            except (LabError, SQLAlchemyError):
                return  # the reader meets the same, and says so at the top

        self.run_worker(work, thread=True, exclusive=True, group="choices", exit_on_error=False)

    @on(ChoicesRead)
    def _choices_read(self, event: ChoicesRead) -> None:
        self.choices = event
        self.show_choices()
        run = self.run
        if run is not None and event.run_id != run.id:
            self.read_choices()  # another has been chosen meanwhile, or threads overtook each other
        if run is not None and run.dataset_kind == "words" and run.dataset_sha256 not in self.words:
            self.words[run.dataset_sha256] = None
            self._read_words(run)

    def _read_words(self, run: RunRow) -> None:
        database = self.lab.database

        def work() -> None:
            from lab.datasets.overlap import train_words
            from lab.queue.requests import dataset_of

            try:
                words = train_words(dataset_of(run, database))
            except LabError:
                return  # its text is gone: nothing is said of what is new
            self.post_message(self.WordsRead(run.dataset_sha256, words))

        self.run_worker(work, thread=True, group="words", exit_on_error=False)

    @on(WordsRead)
    def _words_read(self, event: WordsRead) -> None:
        self.words[event.dataset] = event.words
        self.show()
