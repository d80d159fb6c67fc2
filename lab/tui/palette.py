"""The palette's list of what can be done: the same actions as everywhere, found by their synonyms too."""

from __future__ import annotations

from functools import partial
from typing import Any

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.screen import Screen

from lab.tui.actions import ACTIONS, Action


class LabCommands(Provider):
    """Every action but moving about."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for action in _offered(self.screen):
            yield DiscoveryHit(_title(action), partial(self.screen.run_action, action.id), help=action.help)

    async def search(self, query: str) -> Hits:
        """Those that match what is typed, in name, help or synonyms."""
        matcher = self.matcher(query)
        for action in _offered(self.screen):
            title = _title(action)
            score = max(matcher.match(title), 0.9 * max(matcher.match(word) for word in _words(action)))
            if score > 0:
                command = partial(self.screen.run_action, action.id)
                yield Hit(score, matcher.highlight(title), command, help=action.help)


def _offered(screen: Screen[Any]) -> list[Action]:
    """What the screen can do, moving about left out."""
    left_out = ("Select", "command_palette")
    mode = getattr(screen, "MODE", "")
    here = [action for action in ACTIONS if action.is_for(mode)]
    return [action for action in here if action.group not in left_out and action.id not in left_out] + [
        action for action in here if action.id in ("pin", "filter", "sort", "sort_reverse", "unmark_all")
    ]


def _title(action: Action) -> str:
    return f"{action.label}  {action.key_text}" if action.keys else action.label


def _words(action: Action) -> list[str]:
    return [*action.synonyms.split(), action.help]
