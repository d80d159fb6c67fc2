"""The torch helper: what it streams, how it is cancelled, what it says of nonsense; a killed one is replaced."""

from __future__ import annotations

import io
import itertools
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lab.cli.app import run as run_lab
from lab.config.ladder import stage_config
from lab.errors import UsageError, WorkerError
from lab.inference.client import InferenceClient, Listener
from lab.inference.protocol import (
    LARGEST_LINE,
    SampleRequest,
    SpeedRequest,
    Token,
    decode,
    encode,
    sample_message,
    sample_request_of,
    speed_of,
    speed_request_message,
)
from lab.inference.server import Server
from lab.store.run_store import RunStore

PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SampleRequest]:
    """A request to each of two tiny finished runs: one of prose, one of names."""
    folder = tmp_path_factory.mktemp("trained")
    prose, names, database = folder / "prose.txt", folder / "few.txt", folder / "runs.db"
    prose.write_text("To be, or not to be: that is the question.\n" * 60)
    names.write_text("emma\nolivia\nava\nisabella\nsophia\nmia\n" * 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DEVICE", "cpu")
        common = ("--db", str(database), "--steps", "20", "--set", "eval_every=10", "--json")
        assert run_lab(["train", "bigram", "--dataset", str(prose), *common]) == 0
        assert run_lab(["train", "bigram", "--dataset", str(names), "--as", "words", *common]) == 0
    store = RunStore.open(database)
    prose_run, names_run = store.runs()
    store.close()
    return {
        "prose": SampleRequest(str(database), prose_run.id, tokens=20),
        "names": SampleRequest(str(database), names_run.id, tokens=12, count=4),
    }


def answers(*messages: Any) -> list[dict[str, Any]]:
    """What a server in this process answers to messages, or to lines as they are."""
    lines = [message if isinstance(message, str) else encode(message) for message in messages]
    said = io.StringIO()
    Server(io.StringIO("".join(lines)), said).serve()
    return [json.loads(line) for line in said.getvalue().splitlines()]


def text_of(said: list[dict[str, Any]], request_id: int = 1) -> str:
    return "".join(each["token"]["character"] for each in said if each["id"] == request_id and "token" in each)


# The server


def test_a_text_is_streamed_with_what_each_character_was_drawn_from(trained: dict[str, SampleRequest]) -> None:
    request = replace(trained["prose"], top_k=3, temperature=0.5)
    said = answers(sample_message(1, request))
    assert said[0] == {"id": 1, "started": True}
    assert said[-1] == {"id": 1, "done": True}
    tokens = [each["token"] for each in said[1:-1]]
    assert len(tokens) == 20
    for token in tokens:
        before = [each["before"] for each in token["likeliest"]]
        after = [each["after"] for each in token["likeliest"]]
        assert before == sorted(before, reverse=True)
        assert sum(share > 0 for share in after) == 3
        assert sum(after) == pytest.approx(1, abs=1e-5)
        assert token["surprise"] >= 0
        assert token["character"] in [each["character"] for each in token["likeliest"][:3]]


def test_the_same_seed_writes_the_same_and_another_does_not(trained: dict[str, SampleRequest]) -> None:
    request = trained["prose"]
    said = answers(*(sample_message(i, replace(request, seed=seed)) for i, seed in ((1, 7), (2, 7), (3, 8))))
    assert text_of(said, 1) == text_of(said, 2) != text_of(said, 3)


def test_several_words_each_end_and_are_counted(trained: dict[str, SampleRequest]) -> None:
    said = answers(sample_message(1, trained["names"]))
    tokens = [each["token"] for each in said if "token" in each]
    words = ["".join(t["character"] for t in group) for _, group in itertools.groupby(tokens, lambda t: t["text"])]
    assert len(words) == 4
    for word in words:
        assert "\n" not in word[:-1]
        assert word.endswith("\n") or len(word) == 12
    second = replace(trained["names"], seed=trained["names"].seed + 1, count=1)
    assert text_of(answers(sample_message(1, second))) == words[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run_id": "zzzzzz"}, "no run zzzzzz"),
        ({"checkpoint": "17"}, "has no checkpoint '17'"),
        ({"prompt": "żó"}, "lacks 'ó', 'ż'"),
        ({"temperature": -1.0}, "temperature=-1.0 must be between"),
        ({"top_p": 2.0}, "top-p=2.0 must be above 0"),
        ({"tokens": 10**9}, "length=1000000000 must be between 0"),
        ({"tokens": "many"}, "tokens='many'"),
        ({"seed": -5}, "seed=-5 must be between 0"),
        ({"count": 0}, "count=0 must be between 1"),
        ({"prompt": None}, "prompt=None"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_next_is_answered(
    trained: dict[str, SampleRequest], change: dict[str, Any], said: str
) -> None:
    heard = answers(sample_message(1, replace(trained["prose"], **change)), sample_message(2, trained["prose"]))
    [error] = [each["error"] for each in heard if "error" in each]
    assert said in error
    assert "\n" not in error
    assert len(text_of(heard, 2)) == 20
    assert heard[-1] == {"id": 2, "done": True}


def test_a_database_that_is_no_database_is_said(trained: dict[str, SampleRequest], tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_text("not a database" * 100)
    request = replace(trained["prose"], database=str(tmp_path / "runs.db"))
    assert "error" in answers(sample_message(1, request))[-1]


HOSTILE_LINES = (
    "\n", "nonsense\n", "[]\n", "17\n", "null\n", '"text"\n', "{}\n", '{"id": "one"}\n', '{"cancel": "all"}\n',
    '{"cancel": null}\n', '{"id": true}\n', "[" * 5000 + "\n", '{"id": 1e400}\n', "\x00\n",
    "{" + " " * LARGEST_LINE + "}\n",
)  # fmt: skip


def test_hostile_lines_are_passed_over(trained: dict[str, SampleRequest]) -> None:
    heard = answers(
        *HOSTILE_LINES, '{"id": 5}\n', '{"id": 6, "sample": {"x": 1}}\n', sample_message(7, trained["prose"])
    )
    assert {each["id"] for each in heard} == {5, 6, 7}
    assert [each["id"] for each in heard if "error" in each] == [5, 6]
    assert len(text_of(heard, 7)) == 20


def test_a_cancelled_request_is_ended_and_the_next_is_answered(trained: dict[str, SampleRequest]) -> None:
    long = replace(trained["prose"], tokens=20_000)
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as requests, os.fdopen(write_end, "w") as asking:
        said = _CancelsAfter(5, asking)
        asking.write(encode(sample_message(1, long)) + encode(sample_message(2, trained["prose"])))
        asking.flush()
        Server(requests, said).serve()
    heard = [decode(line) for line in said.lines]
    assert 5 <= len(text_of(heard, 1)) < 20_000
    assert {"id": 1, "done": True} in heard
    assert len(text_of(heard, 2)) == 20


class _CancelsAfter(io.StringIO):
    """Takes answers; after so many characters it asks for the end of the request, and then closes what is asked by."""

    def __init__(self, characters: int, asking: Any) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._left, self._asking = characters, asking

    def write(self, line: str) -> int:
        self.lines.append(line)
        if '"token"' in line:
            self._left -= 1
            if self._left == 0:
                self._asking.write(encode({"cancel": 1}))
                self._asking.close()
        return len(line)


@pytest.mark.parametrize("message", [{}, {"sample": {}}, {"sample": []}, {"sample": {"database": "x", "run_id": 5}}])
def test_a_request_without_sense_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        sample_request_of(message)


@pytest.fixture
def small_config(prose_file: Path) -> str:
    """The config of a bigram on a small text."""
    return stage_config("bigram", dataset=str(prose_file), settings={"steps": 50}).to_json()


def test_a_config_is_measured_and_the_next_request_answered(
    trained: dict[str, SampleRequest], small_config: str, prose_file: Path, tmp_path: Path
) -> None:
    request = SpeedRequest(str(tmp_path / "new.db"), small_config, threads=1)
    said = answers(speed_request_message(1, request), sample_message(2, trained["prose"]))
    assert said[0] == {"id": 1, "started": True}
    speed = speed_of(said[1])
    assert speed.seconds > 50 * speed.seconds_per_step > 0
    assert speed.parameters == len(set(prose_file.read_text())) ** 2
    assert said[2] == {"id": 1, "done": True}
    assert len(text_of(said, 2)) == 20
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threads": 0}, "threads=0 must be between 1"),
        ({"threads": True}, "threads=True must be between 1"),
        ({"threads": "two"}, "threads=two must be between 1"),
        ({"config_json": "{"}, "the config is not JSON"),
        ({"config_json": 7}, "it names no database or no config"),
        ({"config_json": '{"stage": "x", "model": "bigram", "dataset": "nothing-here"}'}, "nothing-here"),
        ({"more": 1}, "it has other fields"),
        ({"source": ["mine.py", "Mine"]}, "it names no model's file"),
        ({"source": ["mine.py", "Mine", "class Mine: pass"]}, "Mine in mine.py has never been run here"),
    ],
)
def test_what_cannot_be_measured_is_said(small_config: str, change: dict[str, Any], said: str) -> None:
    values = {"database": "/nowhere/runs.db", "config_json": small_config, "threads": 1, "source": [], **change}
    heard = answers({"id": 1, "measure": values})
    assert said in heard[-1]["error"]
    assert "\n" not in heard[-1]["error"]


# The client, with the process


@dataclass
class Heard:
    """Keeps what a listener hears."""

    tokens: list[Token] = field(default_factory=list)
    failure: str = ""
    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def listener(self) -> Listener:
        return Listener(self._token, self.over.set, self._failed)

    @property
    def text(self) -> str:
        assert self.over.wait(PATIENCE_SECONDS)
        return "".join(token.character for token in self.tokens)

    def _token(self, token: Token) -> None:
        self.tokens.append(token)
        self.begun.set()

    def _failed(self, reason: str) -> None:
        self.failure = reason
        self.over.set()


@pytest.fixture(scope="module")
def client() -> Iterator[InferenceClient]:
    client = InferenceClient()
    yield client
    client.close()


def asked(client: InferenceClient, request: SampleRequest) -> tuple[int, Heard]:
    heard = Heard()
    return client.sample(request, heard.listener), heard


def test_two_requests_are_answered_each_to_its_own_listener(
    client: InferenceClient, trained: dict[str, SampleRequest]
) -> None:
    _, prose = asked(client, trained["prose"])
    _, names = asked(client, replace(trained["names"], count=1))
    _, wrong = asked(client, replace(trained["prose"], prompt="ż"))
    assert len(prose.text) == 20
    assert names.text
    assert wrong.text == ""
    assert "lacks 'ż'" in wrong.failure
    assert client.warm


def test_a_request_can_be_stopped(client: InferenceClient, trained: dict[str, SampleRequest]) -> None:
    request_id, heard = asked(client, replace(trained["prose"], tokens=20_000))
    assert heard.begun.wait(PATIENCE_SECONDS)
    client.cancel(request_id)
    assert 0 < len(heard.text) < 20_000
    client.cancel(request_id)  # once more does no harm
    _, after = asked(client, trained["prose"])
    assert len(after.text) == 20


def test_a_killed_helper_is_said_to_have_died_and_the_next_request_starts_another(
    client: InferenceClient, trained: dict[str, SampleRequest]
) -> None:
    _, heard = asked(client, replace(trained["prose"], tokens=20_000))
    assert heard.begun.wait(PATIENCE_SECONDS)
    assert client._helper is not None
    client._helper._process.kill()
    assert heard.text != ""
    assert "died (-9); ask again" in heard.failure
    assert not client.warm
    _, again = asked(client, trained["prose"])
    assert len(again.text) == 20
    assert again.failure == ""


def test_a_speed_can_be_waited_for(client: InferenceClient, small_config: str) -> None:
    speed = client.measured(SpeedRequest("/nowhere/runs.db", small_config))
    assert speed.chars_per_second > 0
    assert speed.threads == 1
    with pytest.raises(WorkerError, match="the config is not JSON"):
        client.measured(SpeedRequest("/nowhere/runs.db", "{"))


def test_a_closed_client_lets_go_of_its_process(trained: dict[str, SampleRequest]) -> None:
    client = InferenceClient()
    _, heard = asked(client, trained["prose"])
    assert client._helper is not None
    process = client._helper._process
    client.close()
    assert process.returncode is not None
    assert not heard.over.is_set()
    client.close()


def test_a_helper_that_cannot_be_started_is_said(
    monkeypatch: pytest.MonkeyPatch, trained: dict[str, SampleRequest]
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(WorkerError, match="the torch helper cannot be started: No such file"):
        asked(InferenceClient(), trained["prose"])
