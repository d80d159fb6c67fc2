"""The function behind each view."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.inference.figures import Page
from lab.inference.inspection.data import data_page
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.views import InspectOptions

PAGES: Mapping[str, Callable[[Subject, InspectOptions, Progress], Page]] = {
    "data": data_page,
}
