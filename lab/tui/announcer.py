"""Says what happens to runs in the background: firsts at once, how other runs ended a moment later."""

from __future__ import annotations

from textual.app import App
from textual.timer import Timer

from lab.tui.background_news import BackgroundNews
from lab.tui.first_events import FirstEvents
from lab.tui.snapshot import Snapshot

NEWS_AFTER_SECONDS = 1.0
"""From a run's end until it is said: those that end meanwhile are said with it."""


class Announcer:
    """Sees snapshots go by, and has the screen say what is new in them."""

    def __init__(self, app: App[str]) -> None:
        self._app = app
        self._first_events = FirstEvents()
        self._background_news = BackgroundNews()
        self._timer: Timer | None = None

    def see(self, snapshot: Snapshot) -> None:
        """Takes in a snapshot."""
        firsts = self._first_events.news(snapshot)
        for said in firsts:
            self._app.notify(said, markup=False, timeout=10)
        waiting = self._background_news.see(snapshot)
        if firsts:
            self._background_news.forget(next((run.id for run in snapshot.runs if run.status == "finished"), ""))
        if waiting and self._timer is None:
            self._timer = self._app.set_timer(NEWS_AFTER_SECONDS, self._say)

    def _say(self) -> None:
        self._timer = None
        for news in self._background_news.take():
            self._app.notify(news.said, severity="error" if news.bad else "information", markup=False)
