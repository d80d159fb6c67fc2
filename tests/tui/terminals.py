"""Real terminals for lab to run in: one of tmux's where that is installed, else one of pyte's; keys in, screen out."""

from __future__ import annotations

import fcntl
import os
import pty
import shlex
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyte

PATIENCE_SECONDS = 60.0
LAB = [sys.executable, "-m", "lab"]
OWN = {"LAB_DB", "COLORTERM", "NO_COLOR", "LC_ALL", "TMUX", "COLUMNS", "LINES"}
"""What a test says itself, whatever terminal it was started in."""
KEYS = {"enter": "\r", "escape": "\x1b", "tab": "\t", "down": "\x1b[B", "space": " "}


class Terminal:
    """A terminal that a program runs in."""

    def write(self, keys: str) -> None:
        """Types."""
        raise NotImplementedError

    def screen(self) -> str:
        """What it shows now, a line for each row."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Whether the program still runs."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends the program, should it still run, and the terminal."""
        raise NotImplementedError

    def press(self, *keys: str) -> None:
        """Presses keys, named or typed as they are."""
        for key in keys:
            self.write(KEYS.get(key, key))

    def until(self, condition: Callable[[str], object], seconds: float = PATIENCE_SECONDS) -> str:
        """Waits until the screen is as wanted, and returns it. Raises `AssertionError` with what it shows instead."""
        give_up_at = time.monotonic() + seconds
        while not condition(shown := self.screen()):
            assert time.monotonic() < give_up_at, f"waited {seconds:.0f} s in vain; the screen:\n{shown}"
            assert self.running, f"the program has ended; the screen:\n{shown}"
            time.sleep(0.05)
        return shown

    def shows(self, *texts: str) -> str:
        """Waits until all of these are on the screen, and returns it."""
        return self.until(lambda shown: all(text in shown for text in texts))

    def ends(self) -> None:
        """Waits until the program has ended."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while self.running:
            assert time.monotonic() < give_up_at, f"it does not end; the screen:\n{self.screen()}"
            time.sleep(0.05)


class PyteTerminal(Terminal):
    """A pseudo-terminal whose screen pyte keeps."""

    def __init__(self, command: list[str], size: tuple[int, int], environment: Mapping[str, str], folder: Path) -> None:
        width, height = size
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._file, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self._process = subprocess.Popen(
            command, stdin=inside, stdout=inside, stderr=inside, env=dict(environment), cwd=folder,
            start_new_session=True,
        )  # fmt: skip
        os.close(inside)
        self.written = b""
        """All that the program wrote, as it is."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._file, 65536)
            except OSError:  # how Linux tells that the program's side is closed
                return
            if not data:
                return
            with self._lock:
                self.written += data
                self._stream.feed(data)

    def write(self, keys: str) -> None:
        os.write(self._file, keys.encode())

    def screen(self) -> str:
        with self._lock:
            return "\n".join(self._screen.display)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(PATIENCE_SECONDS)
        os.close(self._file)


class TmuxTerminal(Terminal):
    """A pane of a tmux server of its own."""

    def __init__(self, command: list[str], size: tuple[int, int], environment: Mapping[str, str], folder: Path) -> None:
        self._socket = f"lab-test-{uuid.uuid4().hex[:8]}"
        self._environment = dict(environment)
        width, height = map(str, size)
        self._tmux(
            "-f", os.devnull, "new-session", "-d", "-x", width, "-y", height, "-c", str(folder), shlex.join(command),
            ";", "set", "-g", "status", "off", ";", "set", "-g", "remain-on-exit", "on", ";", "resize-window",
            "-x", width, "-y", height,
        )  # fmt: skip

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-L", self._socket, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=self._environment).stdout

    def write(self, keys: str) -> None:
        self._tmux("send-keys", "-l", keys)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    @property
    def running(self) -> bool:
        return self._tmux("display-message", "-p", "#{pane_dead}").strip() == "0"

    def close(self) -> None:
        self._tmux("kill-server")


@contextmanager
def lab_in_terminal(
    folder: Path, *arguments: str, size: tuple[int, int] = (120, 40), tmux: bool = False, **environment: str
) -> Iterator[Terminal]:
    """lab, started in a folder that is its home too; it is ended with the block."""
    variables = {name: value for name, value in os.environ.items() if name not in OWN}
    variables |= {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "LAB_DEVICE": "cpu"}
    variables |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", **environment}
    kind = TmuxTerminal if tmux and shutil.which("tmux") else PyteTerminal
    terminal = kind([*LAB, *arguments], size, variables, folder)
    try:
        yield terminal
    finally:
        terminal.close()
