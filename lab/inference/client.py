"""The screen's side of the torch helper: starts it on demand, asks, and hands out what it answers. No torch here."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from lab.errors import WorkerError
from lab.inference.protocol import SampleRequest, Token, decode, encode, sample_message, token_of


@dataclass(frozen=True)
class Listener:
    """Who hears the answers to one request; called on the client's own thread."""

    token: Callable[[Token], None]
    done: Callable[[], None]
    failed: Callable[[str], None]


class InferenceClient:
    """One torch helper process, started at the first request and again where it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._listeners: dict[int, Listener] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def sample(self, request: SampleRequest, listener: Listener) -> int:
        """Asks for text; returns the request's id, by which it can be cancelled. Raises `WorkerError`."""
        with self._lock:
            request_id = next(self._ids)
            process = self._running()
            self._listeners[request_id] = listener
            self._send(process, encode(sample_message(request_id, request)))
        return request_id

    def cancel(self, request_id: int) -> None:
        """Ends a request early; its listener hears `done`, if anything."""
        with self._lock:
            if request_id in self._listeners and self._process is not None and self._process.poll() is None:
                self._send(self._process, encode({"cancel": request_id}))

    def close(self) -> None:
        """Ends the helper."""
        with self._lock:
            process, self._process = self._process, None
            self._listeners.clear()
        if process is not None:
            process.kill()
            process.wait()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
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
            threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        return self._process

    def _send(self, process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except OSError as error:
            raise WorkerError(f"the torch helper has ended: {error.strerror}; ask again") from None

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Hands answers out until the helper ends; what it left unanswered has failed."""
        assert process.stdout is not None
        for line in process.stdout:
            message = decode(line)
            listener = self._listeners.get(int(message.get("id", 0)))
            if listener is None:
                continue
            if "token" in message:
                listener.token(token_of(message))
                continue
            self._listeners.pop(int(message["id"]), None)
            if "error" in message:
                listener.failed(str(message["error"]))
            else:
                listener.done()
        with self._lock:
            unanswered = list(self._listeners.values()) if self._process is process else []
            if unanswered:
                self._listeners.clear()
        for listener in unanswered:
            listener.failed(f"the torch helper died ({process.wait()}); ask again")
