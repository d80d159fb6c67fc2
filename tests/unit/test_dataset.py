"""Datasets: the two that come with lab, files by path, a library of added ones, and what cannot be learned from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.datasets import dataset as dataset_module
from lab.datasets.dataset import Dataset, add_dataset, added_datasets, load_dataset
from lab.errors import DatasetError

WriteText = Callable[..., Path]


def refusal(name_or_path: str | Path, kind: dataset_module.DatasetKind | None = None) -> str:
    """What is said of a dataset that cannot be used."""
    with pytest.raises(DatasetError) as caught:
        load_dataset(str(name_or_path), kind)
    message = str(caught.value)
    assert "\n" not in message
    assert DatasetError.exit_status == 2
    return message


def test_shakespeare_is_the_text_that_the_reference_figures_were_measured_on() -> None:
    dataset = load_dataset("shakespeare")
    assert dataset.sha256 == "ca1f4dbf02dee9965880a0ff240c22e7be99cf9775128197caadfaa1c9dbea14"
    assert (dataset.kind, dataset.characters, dataset.vocabulary_size) == ("stream", 1_181_157, 63)
    assert {split: len(ids) for split, ids in dataset.splits.items()} == {"train": 1_063_041, "val": 118_116}


def test_names_are_the_words_that_the_reference_figures_were_measured_on() -> None:
    dataset = load_dataset("names")
    assert dataset.sha256 == "91691165b471c338ee35387260590f0fdc23fcb50509b9ccfe1c879c7ac39a1e"
    assert (dataset.kind, dataset.characters, dataset.vocabulary_size) == ("words", 231_718, 27)
    words = {split: int((ids == 0).sum()) - 1 for split, ids in dataset.splits.items()}
    assert words == {"train": 25_975, "val": 3_247, "test": 3_247}
    assert sum(words.values()) == 32_469
    assert dataset.tokenizer.vocabulary[0] == "\n"


def test_every_character_of_the_names_is_a_target_once() -> None:
    dataset = load_dataset("names")
    predicted = sum(len(dataset.examples(split, 3, every_position=False)) for split in dataset.splits)
    assert predicted == 231_718  # each name's characters, and the newline after it


def test_a_file_is_a_stream_unless_it_is_said_to_be_words(prose_file: Path, names_file: Path) -> None:
    assert load_dataset(str(prose_file)).kind == "stream"
    assert load_dataset(str(names_file)).kind == "stream"
    assert load_dataset(str(names_file), "words").kind == "words"


def test_a_dataset_is_known_by_the_sha256_of_its_file(prose_file: Path, prose: Dataset) -> None:
    assert prose.sha256 == hashlib.sha256(prose_file.read_bytes()).hexdigest()
    assert prose.path == prose_file
    assert prose.name == str(prose_file)


def test_the_splits_of_a_stream_put_together_are_its_text(prose_file: Path, prose: Dataset) -> None:
    ids = [*prose.splits["train"].tolist(), *prose.splits["val"].tolist()]
    assert prose.tokenizer.decode(ids) == prose_file.read_text()


def test_a_path_may_be_relative_and_start_at_home(
    prose_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_dataset("prose.txt").path == prose_file
    assert load_dataset("~/prose.txt").name == str(prose_file)


def test_line_ends_and_byte_order_marks_of_windows_are_no_characters(text_file: WriteText) -> None:
    dataset = load_dataset(str(text_file(b"\xef\xbb\xbf" + b"one two\r\nthree four\r\n" * 5)))
    assert "\r" not in dataset.tokenizer.vocabulary
    assert "\ufeff" not in dataset.tokenizer.vocabulary


def test_words_are_stripped_and_blank_lines_left_out(text_file: WriteText) -> None:
    dataset = load_dataset(str(text_file("  ann \n\n bob\n" * 10)), "words")
    assert "".join(dataset.tokenizer.vocabulary) == "\nabno"


def test_any_script_can_be_read(text_file: WriteText) -> None:
    dataset = load_dataset(str(text_file("Ωμέγα 水 🎭 naïve\n" * 5)))
    assert "🎭" in dataset.tokenizer.vocabulary


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("", "stream", "is empty"),
        (" \n\n", "words", "is empty"),
        (b"caf\xe9 " * 20, "stream", "is not UTF-8 (byte 3); convert it, for example with iconv -t utf-8"),
        ("a" * 100, "stream", "is made of one character; there is nothing to learn"),
        ("aa\n" * 100, "words", "is made of one character; there is nothing to learn"),
        ("ab" * 5, "stream", "has 10 characters, too few to train on and to validate"),
        ("ab\n" * 9, "words", "has 9 words; give at least 10"),
    ],
)
def test_a_text_that_nothing_can_be_learned_from_is_refused(
    text_file: WriteText, content: str | bytes, kind: dataset_module.DatasetKind, message: str
) -> None:
    path = text_file(content)
    said = refusal(path, kind)
    assert said.startswith(f"dataset '{path}'")
    assert message in said


def test_the_smallest_texts_that_are_accepted_can_be_scored(text_file: WriteText) -> None:
    from lab.datasets.counting import counting_loss

    assert counting_loss(load_dataset(str(text_file("ab" * 5 + "a")))) > 0
    assert counting_loss(load_dataset(str(text_file("ab\n" * 10)), "words")) > 0


def test_a_missing_dataset_is_met_with_the_near_miss() -> None:
    assert refusal("shakespear") == "no dataset 'shakespear': did you mean 'shakespeare'?"
    assert refusal("/no/such.txt").startswith("no dataset '/no/such.txt': give the path of a text file")


@pytest.mark.parametrize("path", ["", "x" * 300, "~nobody-of-that-name/x", "a\0b"])
def test_a_path_that_cannot_be_is_refused_in_one_line(path: str) -> None:
    assert "dataset" in refusal(path)


def test_a_folder_or_a_pipe_is_no_dataset(tmp_path: Path) -> None:
    assert "is a folder; give the path of a text file" in refusal(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "is no plain file; give the path of a text file" in refusal(pipe)


def test_a_text_too_large_for_memory_is_refused(prose_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "LARGEST_FILE", 1000)
    assert "lab reads up to" in refusal(prose_file)


def test_a_file_that_may_not_be_read_is_refused(prose_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert refusal(prose_file) == f"dataset '{prose_file}' cannot be read: Permission denied"


def test_a_shipped_dataset_is_cut_in_its_own_way() -> None:
    assert refusal("names", "stream") == "dataset 'names' is cut as words; to cut it as stream, give its path"


def test_a_context_longer_than_a_split_is_refused(prose: Dataset) -> None:
    val = len(prose.splits["val"])
    prose.check_fits(val - 1, every_position=True)
    with pytest.raises(DatasetError, match=f"its val split has {val} characters, too few for context_length={val}"):
        prose.check_fits(val, every_position=True)


def test_a_word_longer_than_a_row_is_refused_where_words_stand_in_rows(few_names: Dataset) -> None:
    few_names.check_fits(10, every_position=True)
    few_names.check_fits(3, every_position=False)
    with pytest.raises(DatasetError, match=r"a word of 9 characters does not fit context_length=9; .*=10 or more"):
        few_names.check_fits(9, every_position=True)
    assert (few_names.examples("train", 10, every_position=True)[:, -1] == -1).any()


def test_a_stream_is_scored_without_overlap_and_words_as_they_are_trained_on(
    prose: Dataset, few_names: Dataset
) -> None:
    assert len(prose.evaluation_examples("val", 8, every_position=True)) == (len(prose.splits["val"]) - 1) // 8
    assert len(prose.evaluation_examples("val", 8, every_position=False)) == len(prose.splits["val"]) - 8
    assert len(few_names.evaluation_examples("val", 12, every_position=True)) == 12
    assert (
        few_names.evaluation_examples("val", 3, every_position=False).tolist()
        == few_names.examples("val", 3, every_position=False).tolist()
    )


def test_an_added_dataset_is_known_by_name_from_then_on(names_file: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    added = add_dataset(names_file, "words", library)
    names_file.unlink()
    again = load_dataset("few-names", library=library)
    assert (again.name, again.kind, again.sha256) == ("few-names", "words", added.sha256)
    assert [(name, kind) for name, kind, _ in added_datasets(library)] == [("few-names", "words")]
    assert library.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["names", "no spaces", "../up", "a.b"])
def test_a_taken_or_crooked_name_is_refused(names_file: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="name"):
        add_dataset(names_file, "words", tmp_path / "library", name)
    assert not (tmp_path / "library").exists()


def test_a_name_can_be_added_once_only(names_file: Path, tmp_path: Path) -> None:
    add_dataset(names_file, "words", tmp_path / "library", "mine")
    with pytest.raises(DatasetError, match="there is already a dataset 'mine'"):
        add_dataset(names_file, "stream", tmp_path / "library", "mine")


def test_what_cannot_be_learned_from_is_not_added(text_file: WriteText, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="one character"):
        add_dataset(text_file("a" * 100), "stream", tmp_path / "library")
    assert list(added_datasets(tmp_path / "library")) == []


def test_a_library_that_cannot_be_written_is_said_so(names_file: Path, text_file: WriteText) -> None:
    in_the_way = text_file("a file, where the library should be", "library")
    with pytest.raises(DatasetError, match="cannot be kept in"):
        add_dataset(names_file, "words", in_the_way)
