"""What the Sample mode reads beside its runs: the words that they learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from lab.errors import LabError
from lab.tui.screens.run_choices import RunChoices
from lab.tui.screens.sample_pages import SamplePages

if TYPE_CHECKING:
    from lab.store.run_store import RunRow


class SampleChoices(RunChoices, SamplePages):
    """Reads them on a thread when a run of words is chosen for the first time."""

    @dataclass
    class WordsRead(Message):
        """The words of the training set that a run was trained on."""

        dataset: str
        words: frozenset[str]

    def __init__(self) -> None:
        super().__init__()
        self.words: dict[str, frozenset[str] | None] = {}
        """Of each dataset of words, by its SHA-256; None while they are read, and where the text is gone."""

    def after_choices(self) -> None:
        """Reads the words of a run's dataset, where it is one of words."""
        run = self.run
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
