"""How long runs will take here: remembered of finished runs, else measured in the torch helper. Never guessed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from lab import text
from lab.errors import LabError
from lab.tui.snapshot import Snapshot

if TYPE_CHECKING:
    from lab.inference.client import InferenceClient
    from lab.inference.protocol import Speed
    from lab.store.run_store import NewRun, RunRow

LOADING = "loading torch to measure this machine…"


@dataclass
class SpeedMeasured(Message):
    """The torch helper has answered of one group of configs: its speed, or why there is none."""

    group: str
    speed: Speed | None
    reason: str = ""


@dataclass
class MeasuringStarted(Message):
    """The torch helper has loaded torch and measures."""


@dataclass(frozen=True)
class Estimate:
    """How long some runs take together, or why that is not known (yet)."""

    seconds: float | None
    said: str
    """`about 2m 10s`, or what goes on."""


class Estimates:
    """Seconds of a whole run by group; what is asked for is measured one after another. For the screen's thread alone.

    `post` is called from any thread; who hears `SpeedMeasured` and `MeasuringStarted` hands them to `take`.
    """

    def __init__(
        self, database: Path, client: Callable[[], InferenceClient], post: Callable[[Message], object]
    ) -> None:
        self._database = database
        self._client = client
        self._post = post
        self._finished: dict[str, float] = {}
        self._measured: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._wanted: dict[str, tuple[NewRun, ...]] = {}
        self._asked: str | None = None
        self._loading = False
        self._runs: Sequence[RunRow] = ()
        self._finished_of: Sequence[RunRow] = ()

    def learn(self, snapshot: Snapshot) -> None:
        """Goes by how long the finished runs of a snapshot took, when it is asked."""
        self._runs = snapshot.runs

    def want(self, asker: str, runs: Sequence[NewRun]) -> None:
        """Says which runs someone would like to know the time of; what is not known is measured. Replaces the last."""
        runs = tuple(runs)
        if self._wanted.get(asker, ()) != runs:
            self._wanted[asker] = runs
        self._measure_next()

    def seconds(self, run: NewRun) -> float | None:
        """How long a run takes by itself; None while that is not known."""
        from lab.queue.forecast import group_of

        return self._known.get(group_of(run))

    def estimate(self, runs: Sequence[NewRun], snapshot: Snapshot | None = None) -> Estimate:
        """How long until all these runs are done, on all slots, after what a snapshot shows as training and waiting."""
        from lab.queue.forecast import Work, group_of, seconds_left, seconds_until_done, unknown, works

        needed = works(runs, self._known)
        if needed is None:
            missing = unknown(runs, self._known)
            failed = next((self._failed[group] for group in missing if group in self._failed), "")
            if failed:
                return Estimate(None, f"not measured: {failed}")
            done = len({group_of(run) for run in runs}) - len(missing)
            return Estimate(None, self._said_while_measuring(done, done + len(missing)))
        training, waiting = [], []
        for run in snapshot.runs if snapshot else ():
            if run.status == "training":
                training.append(Work(seconds_left(run) or self._known.get(group_of(run), 0.0), run.threads or 1))
            elif run.status == "queued" and group_of(run) in self._known:
                waiting.append(Work(self._known[group_of(run)], run.threads or 1))
        seconds = seconds_until_done([*waiting, *needed], training)
        return Estimate(seconds, f"about {text.duration(max(1.0, seconds))}")

    def take(self, message: SpeedMeasured | MeasuringStarted) -> None:
        """Takes in what the torch helper said, and goes on with the next."""
        self._loading = False
        if isinstance(message, MeasuringStarted):
            return
        self._asked = None
        if message.speed is None:
            self._failed[message.group] = message.reason
        else:
            self._measured[message.group] = message.speed.seconds
        self._measure_next()

    @property
    def _known(self) -> dict[str, float]:
        from lab.queue.forecast import known_seconds

        if self._finished_of is not self._runs:
            self._finished_of, self._finished = self._runs, known_seconds(self._runs)
        return self._measured | self._finished

    def _said_while_measuring(self, done: int, count: int) -> str:
        if self._loading:
            return LOADING
        return f"measuring this machine… {done} of {count}" if count > 1 else "measuring this machine…"

    def _measure_next(self) -> None:
        """Asks of the first group that is wanted and not known; one at a time, so that others get their turn too."""
        from lab.inference.client import Listener
        from lab.queue.forecast import speed_request, unknown

        if self._asked is not None:
            return
        wanted = [run for runs in self._wanted.values() for run in runs]
        missing = unknown(wanted, self._known | dict.fromkeys(self._failed, 0.0))
        if not missing:
            return
        group, run = next(iter(missing.items()))
        post, client = self._post, self._client()
        listener = Listener(
            speed=lambda speed: post(SpeedMeasured(group, speed)),
            failed=lambda reason: post(SpeedMeasured(group, None, reason)),
            started=lambda: post(MeasuringStarted()),
        )
        self._asked, self._loading = group, not client.warm
        try:
            client.measure(speed_request(run, self._database), listener)
        except LabError as error:
            self._asked, self._loading = None, False
            self._failed[group] = str(error)
