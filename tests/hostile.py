"""A database as a stranger might make it: every text in it is an attack on the terminal, every path leads outside."""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

ATTACK = (
    "\x1b]52;c;cm0gLXJm\x07\x1b[2J\x1b[31m\x9b31m\x85\u202e\u2066\u200b\ufeff\x00\x7f\r\n"
    "[bold red]$(touch gone)`id`%s{0}"
)
"""OSC 52 writes the clipboard, CSI clears the screen, C1 does either in one character, bidi turns the line round."""
OUTSIDE = ("../../outside.safetensors", "/etc/passwd", "..", ".", "", "a\x00b", "\x1b[31m/x", "~/x")
NUMBERS = (float("inf"), -float("inf"), 1e308, -1.0, 2**62, 0)
_TEXTS = {
    "run": ("name", "notes", "error", "experiment", "device", "precision", "torch_version", "lab_version", "dataset"),
    "dataset": ("name", "path"),
    "sample": ("text",),
    "event": ("text", "level"),
    "metric": ("name",),
    "tensor": ("name",),
    "setting": ("value",),
}


def controls(text: str, allowed: str = "\n") -> set[str]:
    """The characters of a text that a terminal would obey, or that turn what stands around them round."""
    return {
        character
        for character in set(text) - set(allowed)
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    }


def poison(path: Path) -> None:
    """Puts the attack into every text of a database that lab shows, beside what else is there."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT OR REPLACE INTO setting VALUES ('storage_problem', ?)", (ATTACK,))
        for table, columns in _TEXTS.items():
            for column in columns:
                unique = " || rowid" if (table, column) in (("metric", "name"), ("tensor", "name")) else ""
                condition = {"metric": " WHERE name NOT LIKE '%loss%'"}.get(table, "")
                connection.execute(f"UPDATE {table} SET {column} = ?{unique}{condition}", (ATTACK,))
        connection.execute("UPDATE run SET tags_json = ?", (json.dumps([ATTACK, "tag"]),))
        connection.execute("UPDATE dataset SET vocabulary_json = ?", (json.dumps([*ATTACK]),))


def add_strangers(path: Path) -> list[str]:
    """Runs that lab would never store: other statuses, kinds, numbers, configs that are none; returns their ids."""
    oddities: list[dict[str, Any]] = [
        {"status": ATTACK},
        {"kind": ATTACK},
        {"stage": ATTACK},
        {"kind": "lr-sweep"},
        {"kind": "external", "config_json": json.dumps({ATTACK: ATTACK, "deep": [[[]]]})},
        {"kind": "external", "config_json": "[1]"},
        {"config_json": ATTACK},
        {"config_json": "[" * 100_000},
        {"config_json": json.dumps({"stage": "bigram", "steps": 10**9, "embedding_dim": 65_536, "layers": 256})},
        {"tags_json": "{}"},
        {"tags_json": "[" * 100_000},
        {"tags_json": json.dumps([1, None, {"a": ATTACK}])},
        {"wish": ATTACK, "trained_by": ATTACK},
        {"dataset_kind": ATTACK, "dataset_sha256": ATTACK},
        *({"val_loss": number, "step": 5, "chars_per_second": number, "created_at": number} for number in NUMBERS),
        *({"steps": number, "step": number} for number in (-1, 0, 2**62)),
        {"queue_position": float("inf"), "status": "queued"},
        {"parent_id": "zzzzzz", "parent_step": -1},
        {"group_hash": ATTACK, "config_hash": ATTACK},
    ]
    added = []
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        columns = [row[1] for row in connection.execute("PRAGMA table_info(run)")]
        first = dict(zip(columns, connection.execute("SELECT * FROM run ORDER BY id").fetchone(), strict=True))
        for number, oddity in enumerate(oddities):
            row = {
                **first,
                "id": f"00000{number:x}" if number < 16 else f"0000{number:x}",
                "status": "finished",
                **oddity,
            }
            connection.execute(f"INSERT INTO run VALUES ({', '.join('?' * len(columns))})", [row[c] for c in columns])
            added.append(row["id"])
    return added


def add_checkpoints(path: Path, run_id: str, names: Iterable[str] = OUTSIDE) -> None:
    """Checkpoints of a run whose paths lead elsewhere."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for step, name in enumerate(names, start=1):
            for kind in ("complete", "best", "milestone", ATTACK):
                connection.execute(
                    "INSERT INTO checkpoint (run_id, step, kind, path, sha256, size, created_at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (run_id, step, kind, name, "0" * 64, 1, 0.0),
                )
