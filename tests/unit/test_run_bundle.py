"""`.labrun`: a run goes out and comes in whole; nothing that is cut, changed, hostile or newer comes in at all."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lab.config.diagnostics import BINS, Reading
from lab.config.ladder import stage_config
from lab.errors import BundleError, CheckpointError, UsageError
from lab.reports import run_import
from lab.reports.run_bundle import MANIFEST, RUN, checkpoint_member, write_bundle
from lab.reports.run_import import import_bundle
from lab.store import lifecycle
from lab.store.histograms import read_histograms
from lab.store.recorder import RunRecorder
from lab.store.run_store import DatasetFacts, NewRun, RunRow, RunStore
from lab.store.test_looks import looks_at, record_look
from lab.store.trash import delete_for_good
from lab.store.whole_run import read_whole_run

CHECKPOINT = checkpoint_member(0)


@pytest.fixture
def ended(store: RunStore, dataset_facts: DatasetFacts) -> RunRow:
    """A finished run with a metric, a histogram, a sample, a checkpoint, a log and a look at the test split."""
    config = stage_config("bigram", settings={"steps": 100})
    store.add_runs([NewRun(config, dataset_facts, name="KING, \x1b[31m", tags=("a",))])
    run = lifecycle.claim(store)
    assert run is not None
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    recorder.log("val/loss", 1, [3.0, math.nan, 2.5])
    counts = (*range(BINS - 1), 0)
    recorder.snapshot(1, [Reading("head", "activations", "linear", counts, 1.0, 2.0, saturated=0.5)])
    recorder.sample(3, "KING:\nso")
    recorder.event(3, "evaluated")
    said = json.dumps({"config": config.to_json(), "vocabulary": dataset_facts.vocabulary, "state": {}})
    weights = {"model/table.weight": np.zeros((4, 4), dtype=np.float32)}
    recorder.checkpoint("best", 3, lambda path: save_file(weights, path, metadata={"lab": said}))
    recorder.progress(step=100, val_loss=2.5, parameters=16)
    recorder.close()
    lifecycle.end(store, run.id, run.attempt, "finished")
    record_look(store, run.id, 3, 2.6)
    return store.run(run.id)


@pytest.fixture
def bundle(store: RunStore, ended: RunRow, tmp_path: Path) -> Path:
    """That run as a file."""
    path = tmp_path / "king.labrun"
    assert write_bundle(store, ended, path) == path.stat().st_size
    return path


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[RunStore]:
    """An empty database of somebody else's."""
    opened = RunStore.open(tmp_path / "elsewhere.db")
    yield opened
    opened.close()


def nothing_is_kept(store: RunStore) -> bool:
    return not store.runs() and not list(store.database.files.glob("*"))


def rebuilt(
    path: Path,
    *,
    run: Callable[[dict[str, Any]], object] = lambda run: None,
    manifest: Callable[[dict[str, Any]], object] = lambda manifest: None,
    members: Callable[[dict[str, bytes]], object] = lambda members: None,
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """Writes a bundle anew with changes, its manifest brought in line with them as a clever stranger would."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(content[RUN])
    run(document)
    content[RUN] = json.dumps(document).encode()
    members(content)
    files = {name: data for name, data in content.items() if name != MANIFEST}
    listing = json.loads(content[MANIFEST])
    listing["files"] = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    }
    manifest(listing)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(MANIFEST, json.dumps(listing))
        for name, data in files.items():
            archive.writestr(name, data)


def test_a_run_comes_in_as_it_went_out(store: RunStore, ended: RunRow, bundle: Path, elsewhere: RunStore) -> None:
    run = import_bundle(elsewhere, bundle)
    assert (run.id, run.name, run.val_loss, run.tags) == (ended.id, ended.name, 2.5, ("a",))
    before, after = read_whole_run(store, ended.id), read_whole_run(elsewhere, run.id)
    assert before == after
    points = elsewhere.points(run.id, "val/loss")
    assert points.steps.tolist() == [1, 2, 3]
    assert np.isnan(points.values[1])
    assert read_histograms(elsewhere, run.id)[0].counts.tolist()[0][:-1] == list(range(BINS - 1))
    assert [look.loss for look in looks_at(elsewhere, [run.id])[run.id]] == [2.6]
    (row,) = elsewhere.checkpoints(run.id)
    file = elsewhere.database.files / row.path
    assert hashlib.sha256(file.read_bytes()).hexdigest() == row.sha256
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_run_comes_in_once_and_under_another_id_where_its_own_is_taken(
    store: RunStore, ended: RunRow, bundle: Path, elsewhere: RunStore, dataset_facts: DatasetFacts
) -> None:
    with pytest.raises(BundleError, match="its run is here already"):
        import_bundle(store, bundle)
    other = elsewhere.add_runs([NewRun(stage_config("linear"), dataset_facts)])[0]
    rebuilt(bundle, run=lambda document: document["run"].update(id=other.id))
    assert import_bundle(elsewhere, bundle).id > other.id
    assert len(elsewhere.runs()) == 2


def test_an_id_from_the_future_is_not_taken_over(bundle: Path, elsewhere: RunStore) -> None:
    rebuilt(bundle, run=lambda document: document["run"].update(id="zzzzzz"))
    assert import_bundle(elsewhere, bundle).id < "2"


def test_what_is_under_way_or_damaged_is_not_written(
    store: RunStore, ended: RunRow, dataset_facts: DatasetFacts, tmp_path: Path
) -> None:
    waiting = store.add_runs([NewRun(stage_config("linear"), dataset_facts)])[0]
    with pytest.raises(UsageError, match="is queued: stop or pause it first"):
        write_bundle(store, waiting, tmp_path / "a.labrun")
    file = store.database.files / store.checkpoints(ended.id)[0].path
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="SHA-256"):
        write_bundle(store, ended, tmp_path / "a.labrun")
    file.unlink()
    with pytest.raises(CheckpointError, match="gone or cut short"):
        write_bundle(store, ended, tmp_path / "a.labrun")
    assert not list(tmp_path.glob("*.labrun*"))


def _set(table: str, **values: object) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        part = document[table]
        (part[0] if isinstance(part, list) else part).update(values)

    return change


HUGE = json.dumps(stage_config("bigram", settings={"steps": 100}).resolved() | {"context_length": 9})
HOSTILE_RUNS = {
    "kind": (_set("run", kind="shell"), "kind 'shell'"),
    "status": (_set("run", status="training"), "its status is 'training'"),
    "name": (_set("run", name="x" * 300), "at most 200 characters"),
    "surrogate": (_set("run", notes="\ud800"), "notes that is no str"),
    "integer": (_set("run", step=2**80), "step that is no int"),
    "negative": (_set("run", step=-1), "below 0"),
    "boolean": (_set("run", attempt=True), "attempt that is no int"),
    "field": (_set("run", evil=1), "lack fields, or have other ones"),
    "config": (_set("run", config_json=HUGE), "its hash is of"),
    "no config": (_set("run", config_json="[]"), "its config does not do"),
    "hash": (_set("run", config_hash="0" * 64), "its hash is of"),
    "id": (_set("run", id="../../etc"), "its id is none of lab's"),
    "tags": (_set("run", tags_json="{}"), "its tags are no list"),
    "dataset": (_set("dataset", vocabulary_json='["a"]'), "its vocabulary"),
    "no dataset": (lambda document: document.update(dataset=None), "nothing of the dataset"),
    "kind of checkpoint": (_set("checkpoints", kind="../../x"), "of no kind that lab knows"),
    "step of checkpoint": (_set("checkpoints", step=-5), "of no kind that lab knows"),
    "sha of checkpoint": (_set("checkpoints", sha256="0" * 64), "not the one that the run names"),
    "columns": (lambda document: document["metrics"][0]["rows"]["step"].pop(), "unequal length"),
    "backwards": (lambda document: document["metrics"][0]["rows"]["step"].reverse(), "do not go forward"),
    "width": (_set("metrics", bucket_width=0), "buckets of no width"),
    "twice": (lambda document: document["metrics"].append(document["metrics"][0]), "two metrics of one name"),
    "edges": (_set("tensors", edges="log2-999999999999"), "diagnostics are of no kind"),
    "bins": (lambda document: document["tensors"][0]["rows"].update(bins=["AAAA"]), "histograms cannot be read"),
    "no bins": (lambda document: document["tensors"][0]["rows"].update(bins=["?"]), "bins that is no bytes"),
    "samples": (lambda document: document["samples"].append(document["samples"][0]), "two samples of one step"),
    "list": (lambda document: document.update(samples={}), "are no list"),
    "sweep": (_set("run", kind="lr-sweep"), "an LR sweep without what it tries"),
}


@pytest.mark.parametrize("name", HOSTILE_RUNS)
def test_a_hostile_run_is_refused_in_one_line(name: str, bundle: Path, elsewhere: RunStore) -> None:
    change, said = HOSTILE_RUNS[name]
    rebuilt(bundle, run=change)
    with pytest.raises(BundleError, match=r"king\.labrun cannot be taken in") as refused:
        import_bundle(elsewhere, bundle)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert nothing_is_kept(elsewhere)


def _with_checkpoint(content: bytes) -> Callable[[Path], None]:
    """Another checkpoint in the place of the run's, as its rows and the manifest have it."""
    facts = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def change(path: Path) -> None:
        rebuilt(
            path,
            run=lambda document: document["checkpoints"][0].update(facts),
            members=lambda members: members.update({CHECKPOINT: content}),
        )

    return change


def _header(document: object, body: bytes = b"") -> bytes:
    text = json.dumps(document).encode()
    return len(text).to_bytes(8, "little") + text + body


def _nested(members: dict[str, bytes]) -> None:
    members[RUN] = b"[" * 100_000


HOSTILE_ARCHIVES: dict[str, tuple[Callable[[Path], object], str]] = {
    "newer": (
        lambda path: rebuilt(path, manifest=lambda manifest: manifest.update(version=2)),
        "written by a newer lab (format 2",
    ),
    "foreign": (lambda path: rebuilt(path, manifest=lambda manifest: manifest.clear()), "it is no run of lab's"),
    "path escape": (
        lambda path: rebuilt(path, members=lambda members: members.update({"../../evil.safetensors": b"x"})),
        "its checkpoints are not those that the run names",
    ),
    "absolute path": (
        lambda path: rebuilt(path, members=lambda members: members.update({"/tmp/evil": b"x"})),
        "its checkpoints are not those that the run names",
    ),
    "unlisted": (
        lambda path: rebuilt(path, manifest=lambda manifest: manifest["files"].pop(CHECKPOINT)),
        "its files are not those of its manifest",
    ),
    "changed": (
        lambda path: rebuilt(path, manifest=lambda manifest: manifest["files"][RUN].update(sha256="0" * 64)),
        "run.json has been changed",
    ),
    "no sizes": (
        lambda path: rebuilt(path, manifest=lambda manifest: manifest["files"].update({CHECKPOINT: 5})),
        "says nothing of 'checkpoints/",
    ),
    "compressed": (lambda path: rebuilt(path, compression=zipfile.ZIP_DEFLATED), "compressed, or of another size"),
    "pickle": (_with_checkpoint(b"\x80\x04cos\nsystem\n." * 9), "no safetensors file"),
    "other config": (_with_checkpoint(_header({"__metadata__": {"lab": "{}"}})), "says nothing of its run"),
    "endless header": (_with_checkpoint(b"\xff" * 64), "no safetensors file"),
    "nested": (lambda path: rebuilt(path, members=_nested), "it is damaged"),
    "not a number": (
        lambda path: rebuilt(path, members=lambda members: members.update({RUN: b"[NaN]"})),
        "NaN is no number",
    ),
    "no archive": (lambda path: path.write_bytes(b"SQLite format 3\0" * 50), "cut short, or no run of lab's"),
    "empty": (lambda path: path.write_bytes(b""), "it is cut short"),
    "comment": (
        lambda path: path.write_bytes(path.read_bytes()[:-2] + b"\x05\0hello"),
        "cut short, or no run of lab's",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_ARCHIVES)
def test_a_hostile_archive_is_refused_in_one_line(name: str, bundle: Path, elsewhere: RunStore) -> None:
    change, said = HOSTILE_ARCHIVES[name]
    change(bundle)
    with pytest.raises(BundleError) as refused:
        import_bundle(elsewhere, bundle)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert nothing_is_kept(elsewhere)


def test_a_bomb_is_never_unpacked(bundle: Path, elsewhere: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_import, "LARGEST_RUN", 2**20)
    zeros = b" " * 2**22
    rebuilt(bundle, members=lambda members: members.update({RUN: zeros}), compression=zipfile.ZIP_DEFLATED)
    assert bundle.stat().st_size < 2**17
    with pytest.raises(BundleError, match=r"run\.json is larger than"):
        import_bundle(elsewhere, bundle)
    with zipfile.ZipFile(bundle, "w") as archive:
        for number in range(run_import.MOST_FILES + 1):
            archive.writestr(str(number), b"")
    with pytest.raises(BundleError, match="lists more than 1000 files"):
        import_bundle(elsewhere, bundle)
    assert nothing_is_kept(elsewhere)


def test_a_config_of_a_model_that_would_fill_the_memory_is_refused(bundle: Path, elsewhere: RunStore) -> None:
    config = stage_config("scaled", settings={"embedding_dim": 65_536, "heads": 1, "layers": 256})
    sha256 = "5" * 64
    said = json.dumps({"config": config.to_json(), "vocabulary": ["a", "b"], "state": {}})
    content = _header({"__metadata__": {"lab": said}, "model/w": {"shape": [1], "dtype": "F32"}}, b"\0" * 4)

    def change(document: dict[str, Any]) -> None:
        document["checkpoints"][0].update(size=len(content), sha256=hashlib.sha256(content).hexdigest())
        document["run"].update(
            config_json=config.to_json(),
            config_hash=config.hash(sha256),
            group_hash=config.group_hash(sha256),
            seed=config.seed,
            stage=config.stage,
        )

    rebuilt(bundle, run=change, members=lambda members: members.update({CHECKPOINT: content}))
    with pytest.raises(BundleError, match="of another config than the run's"):
        import_bundle(elsewhere, bundle)
    assert nothing_is_kept(elsewhere)


def test_what_is_cut_short_anywhere_is_refused(bundle: Path, elsewhere: RunStore) -> None:
    whole = bundle.read_bytes()
    for length in [*range(0, len(whole), 97), len(whole) - 1]:
        bundle.write_bytes(whole[:length])
        with pytest.raises(BundleError):
            import_bundle(elsewhere, bundle)
    assert nothing_is_kept(elsewhere)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_whatever_is_changed_nothing_false_comes_in(
    store: RunStore, ended: RunRow, bundle: Path, tmp_path: Path, changes: list[tuple[float, int]]
) -> None:
    whole = bundle.read_bytes()
    damaged = bytearray(whole)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    path = tmp_path / "damaged.labrun"
    path.write_bytes(damaged)
    target = RunStore.open(tmp_path / "target.db")
    try:
        try:
            run = import_bundle(target, path)
        except BundleError:
            assert nothing_is_kept(target)
        else:  # what was changed means nothing: a date, say
            assert read_whole_run(target, run.id) == read_whole_run(store, ended.id)
            target.trash([run.id])
    finally:
        target.close()
        for file in tmp_path.glob("target.db*"):
            if file.is_file():
                file.unlink()
            else:
                shutil.rmtree(file)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.sampled_from(["run", "dataset", "samples", "events", "checkpoints", "metrics", "tensors", "test_looks"]),
    column=st.integers(0, 60),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=9),
        st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    ),
)  # fmt: skip
def test_whatever_a_run_says_it_is_refused_or_can_be_read(
    bundle: Path, elsewhere: RunStore, table: str, column: int, value: object
) -> None:
    def change(document: dict[str, Any]) -> None:
        part = document[table]
        row = part[0] if isinstance(part, list) else part
        names = sorted(row)
        row[names[column % len(names)]] = value

    before = bundle.read_bytes()
    try:
        rebuilt(bundle, run=change)
        run = import_bundle(elsewhere, bundle)
    except BundleError:
        return
    finally:
        bundle.write_bytes(before)
    assert elsewhere.run(run.id).config.steps == 100
    assert elsewhere.run(run.id).tags is not None
    assert len(elsewhere.points(run.id, "val/loss")) in (0, 3)
    read_histograms(elsewhere, run.id)
    elsewhere.samples(run.id)
    elsewhere.events(run.id)
    elsewhere.trash([run.id])
    delete_for_good(elsewhere, [run.id])
