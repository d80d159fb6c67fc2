"""Where the files that come with lab are: in the installed package, else in the repository beside it."""

from pathlib import Path

PROMISE = "promise.md"

_PACKAGE = Path(__file__).parent


def packaged_folder(name: str) -> Path:
    """The folder `data` or `experiments` that came with this installation."""
    installed = _PACKAGE / "packaged" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def promise() -> dict[str, str]:
    """What lab promises of a run, in short, by heading: the quoted lines of docs/promise.md."""
    installed = _PACKAGE / "packaged" / PROMISE
    path = installed if installed.is_file() else _PACKAGE.parent / "docs" / PROMISE
    found: dict[str, str] = {}
    heading = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:].strip()
        elif line.startswith("> ") and heading:
            found[heading] = (found.get(heading, "") + " " + line[2:].strip()).strip()
    return found
