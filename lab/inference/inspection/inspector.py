"""From a question for a view to its page: finds the run, its model and what stands beside it, and asks the view."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json

from lab.config.lr_sweep import LR_SWEEP
from lab.config.own_model import OWN
from lab.errors import StorageError, UsageError
from lab.inference.figures import Page, page_document, page_of
from lab.inference.inspection.pages import PAGES
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.loaded import LoadedModel, LoadedModels
from lab.inference.protocol import InspectRequest
from lab.inference.stored import let_in_model_of
from lab.inference.views import InspectOptions, View, find_view, why_not
from lab.models.own import explained_where_own
from lab.store.inspections import keep_inspection, kept_inspection
from lab.store.run_store import RunRow

KEPT_VERSION = 1
"""Of what is kept in the database: raised when a view computes something else than before."""


def nobody_asks(done: int, total: int) -> None:
    """The progress of work that nobody follows."""


class Inspector:
    """Answers questions about stored models."""

    def __init__(self, models: LoadedModels) -> None:
        self._models = models

    def page(self, request: InspectRequest, tell: Progress = nobody_asks) -> Page:
        """The page that is asked for; `tell` hears how far the work is, and may end it by raising.

        Raises `UsageError` where the view does not fit the stage, `CheckpointError`, `DatasetError`, `PromptError`, and
        `OwnModelError` where a model of one's own may not be run here, or raises.
        """
        view = find_view(request.view)
        subject = self._subject(request, view)
        page = self._kept(subject, view, request.options)
        if page is None:
            with explained_where_own(subject.config):
                page = PAGES[view.name](subject, request.options, tell)
            run = subject.run
            page = dataclasses.replace(page, view=view.name, run_id=run.id, run_name=run.name, step=subject.step)
            self._keep(subject, view, request.options, page)
        loaded = [(one.run.name, one.loaded) for one in (subject, subject.other) if one is not None and one.loaded]
        damage = tuple(f"{name}: {model.damage}." for name, model in loaded if model.damage)
        return dataclasses.replace(page, notes=(*damage, *page.notes))

    def _subject(self, request: InspectRequest, view: View) -> Subject:
        run = self._models.store(request.database).run(request.run_id)
        options = request.options
        subject = self._one(request.database, run, request.checkpoint, view)
        if not (options.other or options.other_checkpoint) or "other" not in view.options:
            return subject
        beside = self._models.store(request.database).resolve(options.other) if options.other else run
        other = self._one(request.database, beside, options.other_checkpoint or "best", view)
        return dataclasses.replace(subject, other=other)

    def _one(self, database: str, run: RunRow, checkpoint: str, view: View) -> Subject:
        config = run.config
        if reason := why_not(view, config):
            raise UsageError(f"{view.name} of run {run.name}: {reason}")
        loaded: LoadedModel | None = None
        if view.needs_checkpoint:
            if run.kind == LR_SWEEP:
                raise UsageError(f"run {run.name} is an LR sweep, which keeps no model: inspect a run that was trained")
            loaded = self._models.model(database, run.id, checkpoint)
        elif config.model == OWN:
            let_in_model_of(self._models.store(database), run)
        return Subject(database, run, config, loaded, self._models)

    def _kept(self, subject: Subject, view: View, options: InspectOptions) -> Page | None:
        if not view.kept or subject.loaded is None:
            return None
        store = self._models.store(subject.database)
        kept = kept_inspection(store, subject.run.id, subject.loaded.row.sha256, _key(subject, view, options))
        if kept is None:
            return None
        try:
            return page_of(json.loads(kept))
        except (KeyError, TypeError, ValueError):  # another version's, or damaged: computed again
            return None

    def _keep(self, subject: Subject, view: View, options: InspectOptions, page: Page) -> None:
        if view.kept and subject.loaded is not None:
            store, key = self._models.store(subject.database), _key(subject, view, options)
            document = json.dumps(page_document(page), allow_nan=False)
            with contextlib.suppress(StorageError):  # no room to keep it in is no reason not to show it
                keep_inspection(store, subject.run.id, subject.loaded.row.sha256, key, document)


def _key(subject: Subject, view: View, options: InspectOptions) -> str:
    """The view and all that its page depends on beside the checkpoint."""
    read = {name: getattr(options, name) for name in view.options} | {"name": subject.run.name}
    if subject.other is not None and subject.other.loaded is not None:
        read |= {"other": subject.other.run.id, "other_checkpoint": subject.other.loaded.row.sha256}
        read |= {"other_name": subject.other.run.name}
    document = json.dumps(read | {"dataset": subject.run.dataset_sha256}, sort_keys=True)
    return f"{view.name} {KEPT_VERSION} {hashlib.sha256(document.encode()).hexdigest()[:32]}"
