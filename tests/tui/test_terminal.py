"""lab as a person has it: in a real terminal, by the keyboard alone, with a worker that trains."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from terminals import LAB, PATIENCE_SECONDS, PyteTerminal, lab_in_terminal

RUNS = ("bigram/lr=1e-3", "bigram/lr=0.01")


def test_a_run_is_composed_queued_trained_compared_and_sampled_from_the_keyboard(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    try:
        with lab_in_terminal(tmp_path, "--db", str(database), tmux=True) as terminal:
            terminal.shows("Ladder", "bigram by counting")
            terminal.press("2")
            terminal.shows("n new run")
            terminal.press("n")
            terminal.shows("New run", "1 run to queue")
            terminal.press("tab", "lr=1e-2, 1e-3")
            terminal.shows("2 runs to queue")
            terminal.press("tab", "tab", "300")
            terminal.shows("300 steps")
            terminal.press("enter")
            terminal.until(lambda shown: shown.count("✓ finished") == 2)
            terminal.press("A")
            # Their curves lie over each other, each named at its end with its loss.
            terminal.until(lambda shown: all(re.search(rf"{name} \d\.\d{{3}}", shown) for name in RUNS))
            terminal.press("5")
            terminal.shows("Prompt")
            terminal.press("enter")
            terminal.shows("500 characters", "Character 500 · ")
            terminal.press("q")
            terminal.ends()
    finally:
        stop = [*LAB, "worker", "--stop", "--db", str(database)]
        ended = subprocess.run(stop, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False).stderr
    assert "the worker has ended" in ended, "it outlives the screen, until it is stopped"


@pytest.mark.parametrize(
    "environment",
    [{"TERM": "linux"}, {"TERM": "xterm"}, {"NO_COLOR": "1"}, {"TERM": "xterm-256color", "LANG": "C", "LC_ALL": "C"}],
    ids=["linux", "xterm", "no-colour", "no-utf8"],
)
def test_first_frame_is_readable_on_any_terminal(tmp_path: Path, environment: dict[str, str]) -> None:
    with lab_in_terminal(tmp_path, size=(80, 24), **environment) as terminal:
        terminal.shows("bigram by counting", "quit")
        assert isinstance(terminal, PyteTerminal)
        if "NO_COLOR" in environment:
            greys = {str(grey) for grey in (16, *range(232, 256))}
            assert set(re.findall(rb"[34]8;5;(\d+)", terminal.written)) <= {grey.encode() for grey in greys}
            assert b"8;2;" not in terminal.written
        if environment.get("TERM") == "linux":
            assert not re.search(rb"8;[25];", terminal.written), "16 colours are all that it has"
        terminal.press("q")
        terminal.ends()


def test_a_tiny_terminal_says_what_to_do(tmp_path: Path) -> None:
    with lab_in_terminal(tmp_path, size=(40, 10)) as terminal:
        terminal.shows("lab needs 60×16: make the window larger")
        terminal.press("q")
        terminal.ends()
