"""Style sheets that are parsed once."""

from __future__ import annotations

from textual.cache import LRUCache
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

SOURCES = 1024
"""More style sheets than there are widgets and screens: of Textual's 64 the eldest was always wanted next."""


class ParsedOnce(Stylesheet):
    """Parses a source again only when the theme's variables have changed.

    Textual parses every source anew for each new screen, which takes longer than all the rest of showing it.
    """

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._parse_cache: LRUCache[tuple[object, ...], list[RuleSet]] = LRUCache(SOURCES)

    def set_variables(self, variables: dict[str, str]) -> None:
        """Takes over a theme; the one that is there already changes nothing."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Parses what is not parsed yet. Where that fails, the rules stay as they were."""
        self.parse()
