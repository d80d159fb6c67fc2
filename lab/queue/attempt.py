"""What a worker and a trainer tell each other; without torch, which the worker itself never loads."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol


class Beats(Protocol):
    """A counter that the worker watches."""

    value: int


@dataclass(frozen=True)
class Failure:
    """Why an attempt came to nothing; `for_good` where another would fail alike, `storage` where the disk failed it."""

    reason: str
    for_good: bool = False
    storage: bool = False


def train(database: Path, run_id: str, attempt: int, threads: int, beats: Beats, worker: Connection) -> None:
    """What a trainer process does. It comes from a fork server that has loaded all of this already."""
    from lab.queue.trainer_log import output_kept
    from lab.queue.trainer_process import trainer_main
    from lab.store.location import run_log

    with output_kept(run_log(database, run_id)):
        trainer_main(database, run_id, attempt, threads, beats, worker)
