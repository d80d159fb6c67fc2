"""The screen's side of the torch helper: starts it on demand, asks, and hands out what it answers. No torch here."""

from __future__ import annotations

import itertools
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.errors import WorkerError
from lab.inference.figures import Page
from lab.inference.protocol import (
    InspectRequest,
    SampleRequest,
    Speed,
    SpeedRequest,
    Token,
    answered_page,
    decode,
    encode,
    inspect_message,
    progress_of,
    request_id_of,
    sample_message,
    speed_of,
    speed_request_message,
    token_of,
)


def _nothing(*_: object) -> None:
    """What happens where nobody wants to know."""


@dataclass(frozen=True)
class Listener:
    """Who hears the answers to one request; called on the client's own thread."""

    token: Callable[[Token], object] = _nothing
    done: Callable[[], object] = _nothing
    failed: Callable[[str], object] = _nothing
    started: Callable[[], object] = _nothing
    """Its turn has come: torch is loaded, and what was asked before is answered."""
    speed: Callable[[Speed], object] = _nothing
    progress: Callable[[int, int], object] = _nothing
    """How much of the work is done, and of how much; a view that takes long says so several times a second."""
    page: Callable[[Page], object] = _nothing


class InferenceClient:
    """One torch helper process, started at the first request and again where it has died."""

    def __init__(self) -> None:
        self._helper: _Helper | None = None
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def warm(self) -> bool:
        """Whether the helper is there and has loaded torch."""
        helper = self._helper
        return helper is not None and helper.answered and helper.alive

    def sample(self, request: SampleRequest, listener: Listener) -> int:
        """Asks for text; returns the request's id, by which it can be cancelled. Raises `WorkerError`."""
        return self._ask(lambda request_id: sample_message(request_id, request), listener)

    def measure(self, request: SpeedRequest, listener: Listener) -> int:
        """Asks how long a config trains here; returns the request's id. Raises `WorkerError`."""
        return self._ask(lambda request_id: speed_request_message(request_id, request), listener)

    def inspect(self, request: InspectRequest, listener: Listener) -> int:
        """Asks for a view of a run; returns the request's id, by which it can be cancelled. Raises `WorkerError`.

        The listener hears `progress` now and then, then `page` and `done`, or `failed`; after a cancel `done` alone.
        """
        return self._ask(lambda request_id: inspect_message(request_id, request), listener)

    def measured(self, request: SpeedRequest) -> Speed:
        """How long a config trains here; waits for the answer. Raises `WorkerError` where there is none."""
        answers: queue.SimpleQueue[Speed | str] = queue.SimpleQueue()
        self.measure(request, Listener(speed=answers.put, failed=answers.put))
        answer = answers.get()
        if isinstance(answer, str):
            raise WorkerError(answer)
        return answer

    def _ask(self, message: Callable[[int], dict[str, Any]], listener: Listener) -> int:
        with self._lock:
            request_id = next(self._ids)
            if self._helper is None or not self._helper.alive:
                self._helper = _Helper()
            self._helper.ask(request_id, encode(message(request_id)), listener)
        return request_id

    def cancel(self, request_id: int) -> None:
        """Ends a request early; its listener hears `done`, if anything."""
        with self._lock:
            if self._helper is not None:
                self._helper.cancel(request_id)

    def close(self) -> None:
        """Ends the helper; nobody hears of it."""
        with self._lock:
            helper, self._helper = self._helper, None
        if helper is not None:
            helper.end()


class _Helper:
    """One process, and who waits for its answers. Raises `WorkerError` where it does not start."""

    def __init__(self) -> None:
        # -P: a folder or file named lab in the current folder is not lab.
        command = [sys.executable, "-P", "-m", "lab", "serve-inference"]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C at the terminal is the screen's
            )
        except OSError as error:
            raise WorkerError(f"the torch helper cannot be started: {error.strerror}") from None
        self.answered = False
        self._listeners: dict[int, Listener] = {}
        self._over = False
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return not self._over and self._process.poll() is None

    def ask(self, request_id: int, line: str, listener: Listener) -> None:
        """Sends a request. Raises `WorkerError` where the process has ended."""
        with self._lock:
            if self._over:
                raise WorkerError("the torch helper has ended; ask again")
            self._listeners[request_id] = listener
        try:
            self._send(line)
        except OSError as error:
            with self._lock:
                self._listeners.pop(request_id, None)
            raise WorkerError(f"the torch helper has ended: {error.strerror}; ask again") from None

    def cancel(self, request_id: int) -> None:
        """Asks for an end, unless it has come already."""
        if request_id in self._listeners and self.alive:
            try:
                self._send(encode({"cancel": request_id}))
            except OSError:
                return  # it has ended, and so has the request: the listening thread says so

    def end(self) -> None:
        """Kills the process and forgets who waits."""
        with self._lock:
            self._listeners.clear()
        self._process.kill()
        self._process.wait()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _listen(self) -> None:
        """Hands answers out until the process ends; what it left unanswered has failed."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.answered = True
            message = decode(line)
            listener = self._listeners.get(request_id_of(message) or 0)
            if listener is not None:
                self._hand_out(message, listener)
        with self._lock:
            self._over = True
            unanswered = list(self._listeners.values())
            self._listeners.clear()
        for listener in unanswered:
            listener.failed(f"the torch helper died ({self._process.wait()}); ask again")

    def _hand_out(self, message: dict[str, object], listener: Listener) -> None:
        if "token" in message:
            listener.token(token_of(message))
        elif "speed" in message:
            listener.speed(speed_of(message))
        elif "progress" in message:
            listener.progress(*progress_of(message))
        elif "page" in message:
            listener.page(answered_page(message))
        elif "started" in message:
            listener.started()
        else:
            with self._lock:
                self._listeners.pop(request_id_of(message) or 0, None)
            if "error" in message:
                listener.failed(str(message["error"]))
            else:
                listener.done()
