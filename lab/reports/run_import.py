"""Taking in a `.labrun` from anybody: checked in full before anything of it is kept, and then kept whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from lab import __version__
from lab.errors import BundleError
from lab.reports.bundled_run import check_checkpoint, check_run
from lab.reports.run_bundle import FORMAT, MANIFEST, RUN, SUFFIX, VERSION, checkpoint_member
from lab.store.location import run_folder
from lab.store.run_ids import free_id
from lab.store.run_store import RunRow, RunStore
from lab.store.stored_files import sync_folder
from lab.store.whole_run import Values, checked_values, insert_whole_run

LARGEST_BUNDLE = 4 * 2**30 - 2**20
LARGEST_MANIFEST = 2**18
LARGEST_RUN = 64 * 2**20
"""Bytes of what the database knows of a run; a long one with diagnostics of many layers has a quarter of it."""
MOST_FILES = 1000
_LARGEST_DIRECTORY = 2**20
_PIECE = 2**20
_END = struct.Struct("<4s4H2LH")
"""The end of a zip archive: signature, disks, entries, size and place of the directory, length of a comment."""
_ZIP64_LOCATOR = (b"PK\x06\x07", 20)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, RuntimeError, KeyError,
    IndexError, RecursionError,
)  # fmt: skip
"""What reading a broken archive, or broken JSON, raises."""


def import_bundle(store: RunStore, path: Path) -> RunRow:
    """Takes in the run of a `.labrun` file, under its own id where that is free.

    Raises `BundleError` where the file is cut short, changed, hostile, of a newer lab, or holds a run that is here
    already; then nothing is kept of it.
    """
    try:
        with path.open("rb") as file, _archive(file, path) as archive:
            return _import(store, archive)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from None
    except BundleError as error:
        raise BundleError(f"{path.name} cannot be taken in: {error}") from None
    except _UNREADABLE as error:
        said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise BundleError(f"{path.name} cannot be taken in: it is damaged ({said})") from None


@contextmanager
def _archive(file: BinaryIO, path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, once its end says that it is small enough to be listed."""
    size = os.fstat(file.fileno()).st_size
    if path.suffix.lower() != SUFFIX:
        raise BundleError(f"its name does not end in {SUFFIX}")
    if size > LARGEST_BUNDLE:
        raise BundleError(f"it is larger than a run can be ({LARGEST_BUNDLE >> 30} GB)")
    if size < _END.size:
        raise BundleError("it is cut short")
    file.seek(max(0, size - _END.size - _ZIP64_LOCATOR[1]))
    tail = file.read()
    signature, *_, entries, directory, _, comment = _END.unpack(tail[-_END.size :])
    if signature != b"PK\x05\x06" or comment:
        raise BundleError("it is cut short, or no run of lab's")
    if entries > MOST_FILES or directory > _LARGEST_DIRECTORY or tail.startswith(_ZIP64_LOCATOR[0]):
        raise BundleError(f"it lists more than {MOST_FILES} files")
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        yield archive


def _import(store: RunStore, archive: zipfile.ZipFile) -> RunRow:
    listed = _manifest(archive)
    text = _read(archive, RUN, LARGEST_RUN)
    if len(text) != listed[RUN]["size"] or hashlib.sha256(text).hexdigest() != listed[RUN]["sha256"]:
        raise BundleError(f"{RUN} has been changed: its SHA-256 is not the one in the manifest")
    values = checked_values(_json(text))
    _check_files(values, listed)
    parent = check_run(store, values)
    files = store.database.files
    files.mkdir(mode=0o700, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".import-", dir=files))
    try:
        for place, row in enumerate(values["checkpoints"]):
            _extract(archive, checkpoint_member(place), folder / _file_name(place, row), row)
            check_checkpoint(folder / _file_name(place, row), values)
        return _keep(store, values, folder, parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    """What files there are to be, by name; each is there once, and nothing else is."""
    names = [info.filename for info in archive.infolist()]
    if MANIFEST not in names:
        raise BundleError(f"it has no {MANIFEST}")
    manifest = _json(_read(archive, MANIFEST, LARGEST_MANIFEST))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or type(manifest.get("version")) is not int:
        raise BundleError("it is no run of lab's")
    if manifest["version"] > VERSION:
        raise BundleError(
            f"it was written by a newer lab (format {manifest['version']}; lab {__version__} knows {VERSION}): "
            "update lab"
        )
    listed = manifest.get("files")
    if not isinstance(listed, dict) or RUN not in listed or sorted(names) != sorted([MANIFEST, *listed]):
        raise BundleError("its files are not those of its manifest")
    for name, entry in listed.items():
        sound = isinstance(entry, dict) and type(entry.get("size")) is int and isinstance(entry.get("sha256"), str)
        if not sound or not _SHA256.fullmatch(entry["sha256"]) or not 0 <= entry["size"] <= LARGEST_BUNDLE:
            raise BundleError(f"its manifest says nothing of {name!a}")
    return listed


def _check_files(values: Values, listed: dict[str, Any]) -> None:
    """The checkpoints that the run names are those that the archive has."""
    rows = values["checkpoints"]
    expected = {checkpoint_member(place): row for place, row in enumerate(rows)}
    if expected.keys() | {RUN} != listed.keys():
        raise BundleError("its checkpoints are not those that the run names")
    for name, row in expected.items():
        if listed[name]["sha256"] != row["sha256"] or listed[name]["size"] != row["size"]:
            raise BundleError(f"{name} is not the one that the run names")


def _file_name(place: int, row: Values) -> str:
    """A name of lab's own making: none of the archive's is ever used."""
    return f"{row['kind']}-{row['step']:09d}-i{place}.safetensors"


def _read(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """A small file, never more of it than may be, whatever it says of its size."""
    with archive.open(name) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise BundleError(f"{name} is larger than {largest:,} bytes")
    return content


def _json(text: bytes) -> Any:
    def refuse(constant: str) -> None:
        raise BundleError(f"{constant} is no number")

    return json.loads(text.decode("utf-8"), parse_constant=refuse)


def _extract(archive: zipfile.ZipFile, name: str, target: Path, row: Values) -> None:
    """Copies a checkpoint out, as it was stored: uncompressed, so that it cannot grow; checked against its SHA-256."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != row["size"]:
        raise BundleError(f"{name} is not as it was written: compressed, or of another size")
    digest, written = hashlib.sha256(), 0
    with archive.open(info) as source, target.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        while piece := source.read(_PIECE):
            written += len(piece)
            if written > row["size"]:
                raise BundleError(f"{name} is larger than it says")
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if written != row["size"] or digest.hexdigest() != row["sha256"]:
        raise BundleError(f"{name} has been changed: its SHA-256 is not the one in the manifest")


def _keep(store: RunStore, values: Values, folder: Path, parent: str | None) -> RunRow:
    """Gives the run its id, its checkpoints their folder, and writes its rows, all or none."""
    with store.database.durable.begin() as connection:
        run_id = free_id(connection, values["run"]["id"])
        own = run_folder(store.database.path, run_id)
        values["run"] |= {"parent_id": parent}
        names = {place: f"{own.name}/{_file_name(place, row)}" for place, row in enumerate(values["checkpoints"])}
        insert_whole_run(connection, run_id, values, names)
        if values["checkpoints"]:
            if own.exists():
                raise BundleError(f"the folder {own} is in its way: move it elsewhere")
            sync_folder(folder)
            folder.rename(own)
            sync_folder(own.parent)
    return store.run(run_id)
