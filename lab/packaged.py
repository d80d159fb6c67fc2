"""Where the files that come with lab are: in the installed package, else in the repository beside it."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def packaged_folder(name: str) -> Path:
    """The folder `data` or `experiments` that came with this installation."""
    installed = _PACKAGE / "packaged" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
