"""The torch helper: a process beside the screen that answers its questions about models, one after another.

The screen starts it on demand (`client.py`) and speaks to it over pipes; it ends when its standard input closes.
"""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import torch
from sqlalchemy.exc import SQLAlchemyError
from torch import nn

from lab.config.own_model import OwnSource
from lab.config.run_config import from_json
from lab.datasets.dataset import load_dataset
from lab.datasets.tokenizer import CharacterTokenizer
from lab.errors import LabError, reason_of
from lab.inference.inspection.inspector import Inspector
from lab.inference.loaded import LoadedModels
from lab.inference.protocol import (
    Likelihood,
    SampleRequest,
    Speed,
    SpeedRequest,
    Token,
    decode,
    encode,
    inspect_request_of,
    page_message,
    progress_message,
    request_id_of,
    sample_request_of,
    speed_message,
    speed_request_of,
    token_message,
)
from lab.inference.sampling import SamplingOptions, next_probabilities, stream_logits
from lab.models.own import explained_where_own, let_in
from lab.store.location import dataset_library
from lab.store.model_sources import check_trusted
from lab.training.checkpoint import Checkpoint
from lab.training.speed import measure_speed

LIKELIEST_SHOWN = 12
_SECONDS_BETWEEN_PROGRESS = 0.1


class Server:
    """Answers requests in order, reading meanwhile whether one is to be cancelled."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        self._requests, self._answers = requests, answers
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: set[int] = set()
        self._loaded = LoadedModels()
        self._inspector = Inspector(self._loaded)

    def serve(self) -> None:
        """Answers until the requests end."""
        torch.set_num_threads(1)  # what trains needs the rest
        threading.Thread(target=self._read, daemon=True).start()
        while (message := self._waiting.get()) is not None:
            self._answer_request(message)

    def _read(self) -> None:
        """Takes requests in, whatever they are, until they end."""
        try:
            for line in self._requests:
                message = decode(line)
                request_id = request_id_of(message)
                if request_id is None:
                    continue
                if "cancel" in message:
                    self._cancelled.add(request_id)
                else:
                    self._waiting.put(message)
        finally:
            self._waiting.put(None)

    def _answer_request(self, message: dict[str, Any]) -> None:
        request_id = request_id_of(message)
        assert request_id is not None  # others are not let in
        self._answer({"id": request_id, "started": True})
        try:
            for answer in self._answers_to(request_id, message):
                if request_id in self._cancelled:
                    break
                self._answer(answer)
            self._answer({"id": request_id, "done": True})
        except _Cancelled:
            self._answer({"id": request_id, "done": True})
        except LabError as error:
            self._answer({"id": request_id, "error": str(error)})
        except (SQLAlchemyError, OSError, RuntimeError) as error:  # a database that is gone; torch's own
            self._answer({"id": request_id, "error": _in_a_line(error)})
        # Ids only rise, so what is below this one cannot be cancelled any more.
        self._cancelled = {cancelled for cancelled in self._cancelled if cancelled > request_id}

    def _answer(self, message: dict[str, Any]) -> None:
        self._answers.write(encode(message))
        self._answers.flush()

    def _answers_to(self, request_id: int, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What a request is answered with, before `done`. Raises `LabError` and what torch and SQLAlchemy raise."""
        if "measure" in message:
            request = speed_request_of(message)
            if request_id not in self._cancelled:
                yield speed_message(request_id, _measured(request))
            return
        if "inspect" in message:
            yield page_message(request_id, self._inspector.page(inspect_request_of(message), self._teller(request_id)))
            return
        for token in self._sample(sample_request_of(message)):
            yield token_message(request_id, token)

    def _sample(self, request: SampleRequest) -> Iterator[Token]:
        loaded = self._loaded.model(request.database, request.run_id, request.checkpoint)
        with explained_where_own(loaded.checkpoint.config):
            for number in range(request.count):
                yield from _text(loaded.checkpoint, loaded.module, request, number)

    def _teller(self, request_id: int) -> Callable[[int, int], None]:
        """What long work calls with how far it is: now and then it is passed on, and a cancelled request ends here."""
        told_at = -math.inf

        def tell(done: int, total: int) -> None:
            nonlocal told_at
            if request_id in self._cancelled:
                raise _Cancelled
            if done == total or time.monotonic() - told_at >= _SECONDS_BETWEEN_PROGRESS:
                told_at = time.monotonic()
                self._answer(progress_message(request_id, done, total))

        return tell


class _Cancelled(Exception):  # noqa: N818 (it is no error)
    """Nobody waits for this request any more."""


def _measured(request: SpeedRequest) -> Speed:
    config = from_json(request.config_json)
    dataset = load_dataset(config.dataset, config.dataset_as, library=dataset_library(Path(request.database)))
    dataset.check_fits(config.context_length, every_position=config.predicts_every_position)
    if request.source:
        file_name, class_name, text = request.source
        source = OwnSource(file_name, class_name, text)
        check_trusted(source)
        let_in(source)
    with explained_where_own(config):
        return measure_speed(config, dataset, request.threads)


def _text(checkpoint: Checkpoint, model: nn.Module, request: SampleRequest, number: int) -> Iterator[Token]:
    """One text; the seed of the first is the request's."""
    tokenizer, config = CharacterTokenizer(checkpoint.vocabulary), checkpoint.config
    options = SamplingOptions(request.temperature, request.top_k, request.top_p, request.seed + number)
    words = config.dataset_as == "words"
    prompt = tokenizer.encode(request.prompt).tolist()
    start = [tokenizer.start_id] if words or not prompt else []
    row = torch.tensor([[*start, *prompt]])
    for logits, drawn in stream_logits(model, config, row, request.tokens, tokenizer.start_id, options):
        token = int(drawn[0])
        yield _described(logits[0], token, tokenizer, options, number)
        if words and token == tokenizer.start_id:
            return


def _in_a_line(error: Exception) -> str:
    said = reason_of(error).strip().splitlines()
    return f"the helper could not do it: {said[0] if said else type(error).__name__}"


def _described(
    logits: torch.Tensor, token: int, tokenizer: CharacterTokenizer, options: SamplingOptions, number: int
) -> Token:
    """A drawn character with the model's own probabilities (V,) and those it was drawn from."""
    before = torch.softmax(logits, dim=-1)
    after = next_probabilities(logits[None], options)[0]
    shown = before.topk(min(LIKELIEST_SHOWN, len(before))).indices.tolist()
    likeliest = tuple(Likelihood(tokenizer.vocabulary[i], float(before[i]), float(after[i])) for i in shown)
    surprise = -math.log(max(float(before[token]), 1e-45))
    return Token(tokenizer.vocabulary[token], surprise, likeliest, number)


def main() -> None:
    """Serves the process's standard input and output; what else would be printed goes to standard error."""
    answers, sys.stdout = sys.stdout, sys.stderr
    Server(sys.stdin, answers).serve()
