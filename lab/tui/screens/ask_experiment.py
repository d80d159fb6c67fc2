"""Queueing an experiment from its file: planned on a thread, and asked before anything is queued."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab import text
from lab.errors import LabError
from lab.tui.messages import Edited
from lab.tui.screens.confirm import ConfirmScreen

if TYPE_CHECKING:
    from lab.config.experiment import Experiment
    from lab.queue.experiment_requests import Plan
    from lab.tui.app import LabApp


def ask_experiment(lab: LabApp, path: Path) -> None:
    """Plans on a thread, then says what the experiment asks and needs, and queues it if that is wanted."""
    name = text.literal(path.stem)

    def work() -> None:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            experiment, planned = plan_experiment(lab, path)
        except (LabError, SQLAlchemyError) as error:
            lab.post_message(Edited(f"experiment {name}: {error}", failed=True))
            return
        lab.call_from_thread(ask, experiment, planned)

    def ask(experiment: Experiment, planned: Plan) -> None:
        missing, count = len(planned.missing), len(planned.runs)
        said = f"{text.plural(count, 'run')}, {count - missing:,} of them stored already; {missing:,} to queue"
        if experiment.question:
            said = f"{text.literal(experiment.question)}\n\n{said}"

        def answered(sure: bool | None) -> None:
            if sure:
                lab.minder.retry_now()
                lab.edit(lambda: lab.edits.queue_experiment(lab.reader.store(), name, planned))

        lab.push_screen(ConfirmScreen(f"Experiment {name}", said, yes="queue it", key="y"), answered)

    lab.run_worker(work, thread=True, exclusive=True, group="experiment", exit_on_error=False)


def plan_experiment(lab: LabApp, path: Path) -> tuple[Experiment, Plan]:
    """An experiment and which of its runs are stored; on a thread. Raises `LabError` with what is wrong and where."""
    from lab.config.experiment_files import read_experiment
    from lab.queue.experiment_requests import DatasetReader, MeasuredSpeed, compose_experiment, plan

    experiment = read_experiment(path)
    read = DatasetReader(lab.database)
    measure = MeasuredSpeed(lab.inference, read, lab.database)
    runs = compose_experiment(experiment, read, name=path.stem, measure=measure)
    return experiment, plan(runs, lab.reader.store().runs())
