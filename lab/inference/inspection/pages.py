"""The function behind each view."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.inference.figures import Page
from lab.inference.inspection.anatomy import anatomy_page
from lab.inference.inspection.attention import attention_page
from lab.inference.inspection.averaging import averaging_page
from lab.inference.inspection.bigram import bigram_page
from lab.inference.inspection.data import data_page
from lab.inference.inspection.embeddings import embeddings_page
from lab.inference.inspection.knock_out import knock_out_page
from lab.inference.inspection.logit_lens import logit_lens_page
from lab.inference.inspection.loss_map import loss_map_page
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.views import InspectOptions

PAGES: Mapping[str, Callable[[Subject, InspectOptions, Progress], Page]] = {
    "data": data_page,
    "anatomy": anatomy_page,
    "bigram": bigram_page,
    "embeddings": embeddings_page,
    "attention": attention_page,
    "logit-lens": logit_lens_page,
    "knock-out": knock_out_page,
    "loss-map": loss_map_page,
    "averaging": averaging_page,
}
