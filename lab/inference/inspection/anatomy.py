"""The anatomy of a model: its modules as a tree, the shapes of all that flows through, and what it costs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from lab.config.own_model import OWN
from lab.config.run_config import RunConfig
from lab.inference.figures import Cell, Figure, Heatmap, Page, Table, grid, number
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.inspection.trace import hooked
from lab.inference.views import InspectOptions
from lab.models.build import build_model
from lab.models.layers import FeedForward, MultiHeadAttention
from lab.training.batches import Batches

_ONE_HOT_ROWS = 8


@dataclass
class Part:
    """A module, or what is computed inside one, on one batch: shapes in and out, parameters, FLOPs."""

    name: str
    kind: str
    depth: int
    reads: str = ""
    writes: str = ""
    parameters: int = 0
    flops: int = 0
    folded: bool = False
    """Like another that is shown."""


def anatomy_page(subject: Subject, options: InspectOptions, tell: Progress) -> Page:
    """The module tree on the batch of step 1, parameters and FLOPs by module, and one-hot times table as indexing."""
    config, dataset = subject.config, subject.dataset
    model = build_model(config, dataset.vocabulary_size).eval()
    tokens, _ = Batches(config, dataset, torch.device("cpu")).batch(1)
    parts = module_parts(model, tokens, Sizes(config, dataset.vocabulary_size, tokens.shape[0]))
    whole_parameters = sum(parameter.numel() for parameter in model.parameters())
    figures: list[Figure] = [
        _tree([part for part in parts if not part.folded], whole_parameters, parts[0].flops),
        _by_kind(parts, whole_parameters, parts[0].flops, config.tied_embeddings),
        *one_hot_figures(subject, model, tokens),
    ]
    b, t = tokens.shape
    notes = [
        f"Shapes on the batch of step 1: {legend(config, dataset.vocabulary_size, b, t)}.",
        "FLOPs are those of the matrix products of one forward pass, two for a multiplication and an addition; "
        "a lookup costs none, and training about three times as much.",
    ]
    if config.model == OWN:
        notes.append("Of a model of one's own the FLOPs are those of its linear layers, which lab knows.")
    if config.model == "transformer" and config.layers > 1:
        notes.append(f"Block 0 is shown in full; the other {config.layers - 1} are like it.")
    if config.tied_embeddings:
        notes.append("The head shares the token embedding's weights: they count once, in the embedding.")
    return Page(
        view="anatomy",
        title=f"Anatomy of {subject.run.name}: {whole_parameters:,} parameters",
        look_at="Follow the shapes down the tree: the stream keeps its width C from block to block, and only inside "
        "attention is it cut into heads. Compare where the parameters are with where the FLOPs are.",
        figures=tuple(figures),
        notes=tuple(notes),
    )


def _tree(shown: list[Part], parameters: int, flops: int) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            part.name,
            part.kind,
            part.reads,
            part.writes,
            part.parameters or None,
            number(part.parameters / parameters) if part.parameters else None,
            part.flops or None,
            number(part.flops / flops) if part.flops else None,
        )
        for part in shown
    ]
    columns = ("module", "kind", "reads", "writes", "parameters", "share", "FLOPs", "share of FLOPs")
    depths = tuple(part.depth for part in shown)
    return Table("the modules, and what flows through them", columns, tuple(rows), depths)


def legend(config: RunConfig, v: int, b: int, t: int) -> str:
    """What the letters of the shapes stand for."""
    said = [f"B={b} examples", f"T={t} positions", f"V={v} characters"]
    if config.model in ("mlp", "transformer"):
        said.insert(2, f"C={config.embedding_dim}")
    if config.model == "mlp":
        said.append(f"H={config.hidden_dim} neurons")
    if config.model == "transformer" and config.layers:
        said.append(f"nh={config.heads} heads of hs={config.attention_width // config.heads}")
    return ", ".join(said)


class Sizes:
    """Names the dimensions of a tensor by where they stand, since several sizes may be equal."""

    def __init__(self, config: RunConfig, vocabulary_size: int, batch_size: int) -> None:
        self.config, self.v, self.b = config, vocabulary_size, batch_size

    def named(self, x: Tensor, last: str) -> str:
        """A shape such as (B=32, T=8, C=32): the last dimension is what the module makes it."""
        t = self.config.context_length
        names: list[str] = [""] * x.dim()
        if x.dim() >= 1:
            names[-1] = last
        if (x.dim() == 2 and last == "T") or (x.dim() >= 2 and x.shape[0] == self.b):
            names[0] = "B"
        if x.dim() == 3:
            names[1] = "T" if x.shape[1] == t else "P"
        if x.dim() == 2 and names[0] == "" and x.shape[0] == t:
            names[0] = "T"
        sizes = (f"{name}={size}" if name else str(size) for name, size in zip(names, x.shape, strict=True))
        return "(" + ", ".join(sizes) + ")"

    def width_name(self, name: str, module: nn.Module, x: Tensor, *, reading: bool) -> str:
        """What the last dimension of a module's input or output is called."""
        config = self.config
        if not x.is_floating_point():
            return "T"
        short = name.rpartition(".")[2]
        if config.model == OWN:
            return "V" if not name and not reading else ""
        if (short in ("head", "") and not reading) or (config.model == "bigram" and not reading):
            return "V"
        if config.model == "mlp":
            width = config.context_length * config.embedding_dim
            if short == "token_embedding":
                return "C"
            return "T × C" if x.shape[-1] == width and (reading or width != config.hidden_dim) else "H"
        return self._transformer_width(short, x, reading=reading)

    def _transformer_width(self, short: str, x: Tensor, *, reading: bool) -> str:
        c, width = self.config.embedding_dim, self.config.attention_width
        if short == "projections" and not reading:
            return f"{x.shape[-1] // width} × nh × hs" if width and x.shape[-1] != width else "nh × hs"
        if short in ("attention_dropout",) or (width != c and x.shape[-1] == width):
            return "nh × hs"
        if x.shape[-1] == c:
            return "C"
        return f"{x.shape[-1] // c} × C" if x.shape[-1] % c == 0 else ""


def module_parts(model: nn.Module, tokens: Tensor, sizes: Sizes) -> list[Part]:
    """Every module that one forward pass calls, the whole first, in the order of the tree."""
    seen: dict[str, Part] = {}
    insides: dict[str, list[Part]] = {}
    names = {id(module): name for name, module in model.named_modules()}

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        name = names[id(module)]
        x, y = inputs[0] if inputs else None, output[0] if isinstance(output, tuple) else output
        if not isinstance(x, Tensor) or not isinstance(y, Tensor):
            return  # a model of one's own may hand on anything
        part = Part(name.rpartition(".")[2] or type(model).__name__, type(module).__name__, _depth(name))
        part.reads = sizes.named(x, sizes.width_name(name, module, x, reading=True))
        part.writes = sizes.named(y, sizes.width_name(name, module, y, reading=False))
        part.parameters = sum(parameter.numel() for parameter in module.parameters())
        part.flops = own_flops(module, x, y)
        seen[name] = part
        if isinstance(module, MultiHeadAttention):
            insides[name] = _inside_attention(module, x, part.depth + 1)

    with hooked([(module, look) for module in model.modules()]), torch.no_grad():
        model(tokens)
    return _in_order(model, seen, insides)


def own_flops(module: nn.Module, x: Tensor, y: Tensor) -> int:
    """FLOPs of the matrix products that a module computes itself, not its parts."""
    if isinstance(module, nn.Linear):
        return 2 * module.in_features * module.out_features * (x.numel() // x.shape[-1])
    if isinstance(module, MultiHeadAttention):
        b, t, _ = x.shape
        products = 2 if module.learned else 1  # q·k, and weights times values
        return products * 2 * b * module.heads * t * t * module.head_dim
    return 0


def _inside_attention(module: MultiHeadAttention, x: Tensor, depth: int) -> list[Part]:
    """Queries, keys, values and weights, which are no modules, with their shapes."""
    b, t, _ = x.shape
    heads = f"(B={b}, nh={module.heads}, T={t}, hs={module.head_dim})"
    weights = f"(B={b}, nh={module.heads}, T={t}, T={t})"
    product = 2 * b * module.heads * t * t * module.head_dim
    read = ("query", "key", "value") if module.learned else ("value",)
    stream = f"(B={b}, T={t}, C={x.shape[-1]})"
    parts = [Part(name, "of every head", depth, stream, heads) for name in read]
    asked = f"softmax(q·k × {module.scale:.3g})" if module.learned else "an even average"
    parts.append(Part("weights", asked, depth, heads, weights, 0, product if module.learned else 0))
    parts.append(Part("weights @ value", "of every head", depth, weights, heads, 0, product))
    return parts


def _depth(name: str) -> int:
    return name.count(".") + 1 if name else 0


def _in_order(model: nn.Module, seen: dict[str, Part], insides: dict[str, list[Part]]) -> list[Part]:
    """The tree from the top, each module's FLOPs with those of its parts.

    Modules that do nothing are left out; what is inside the blocks after the first, which are like it, is folded.
    """
    modules: dict[str, Any] = dict(model.named_modules())
    ordered = [name for name, module in modules.items() if name in seen and not isinstance(module, nn.Identity)]
    own = {name: part.flops for name, part in seen.items()}
    for name in ordered:
        prefix = f"{name}." if name else ""
        seen[name].flops = own[name] + sum(
            flops for each, flops in own.items() if each != name and each.startswith(prefix)
        )
    parts: list[Part] = []
    for name in ordered:
        part = seen[name]
        part.folded = _is_like_the_first(name) or (isinstance(modules[name], nn.Dropout) and not modules[name].p)
        parts.append(part)
        if part.folded:
            continue
        attention = name.removesuffix(".projections")  # queries, keys and values come out of it
        if attention in insides and (attention != name or modules[name].projections is None):
            parts += insides[attention]
    return parts


def _is_like_the_first(name: str) -> bool:
    return bool(re.match(r"blocks\.(?!0\.)\d+\.", name))


def _by_kind(parts: list[Part], parameters: int, flops: int, tied: bool) -> Table:
    """The same by kind of module: what all attentions, feed-forward layers and the rest are together."""
    kinds = {MultiHeadAttention.__name__: "attention", FeedForward.__name__: "feed-forward"}
    sums: dict[str, list[int]] = {}
    for part in parts:
        named = kinds.get(part.kind)
        if part.depth == 1 and (part.kind == "Embedding" or part.name == "head"):
            named = part.name.replace("_", " ")
        if named:
            both = sums.setdefault(named, [0, 0])
            both[0] += 0 if tied and named == "head" else part.parameters
            both[1] += part.flops
    counted = [sum(each) for each in zip(*sums.values(), strict=True)] or [0, 0]
    sums["the rest (norms, hidden layers)"] = [parameters - counted[0], flops - counted[1]]
    rows = tuple(
        (name, each[0], number(each[0] / parameters), each[1], number(each[1] / flops) if flops else None)
        for name, each in sums.items()
        if each[0] or each[1]
    )
    return Table("by kind", ("part", "parameters", "share", "FLOPs", "share of FLOPs"), rows)


def one_hot_figures(subject: Subject, model: nn.Module, tokens: Tensor) -> list[Figure]:
    """The first characters of the batch as one-hot rows, and their product with the table beside indexing it."""
    table = cast("nn.Embedding | None", getattr(model, "token_embedding", None) or getattr(model, "head", None))
    if not isinstance(table, nn.Embedding):
        return []
    ids = tokens[0, :_ONE_HOT_ROWS]
    v, c = table.weight.shape
    one_hot = torch.nn.functional.one_hot(ids, v).to(table.weight.dtype)  # (t, V)
    product, looked_up = (one_hot @ table.weight).detach(), table.weight[ids].detach()
    characters = tuple(subject.characters[i] for i in ids.tolist())
    numbered = tuple(str(i) for i in range(1, c + 1))
    low, high = float(looked_up.min()), float(looked_up.max())
    bound = max(abs(low), abs(high))
    what = f"({len(ids)}, V={v}) @ ({v}, {c}) = ({len(ids)}, {c})"
    return [
        Heatmap("one-hot", characters, subject.characters, grid(one_hot.tolist()), 0.0, 1.0, "character", "id"),
        Heatmap(f"one-hot @ table: {what}", characters, numbered, grid(product.tolist()), -bound, bound,
                "character", "dimension", diverging=True, group="lookup"),
        Heatmap("table[ids]: the same, without multiplying", characters, numbered, grid(looked_up.tolist()),
                -bound, bound, "character", "dimension", diverging=True, group="lookup"),
        Table("one-hot times table is indexing", ("compared", "value"),
              (("largest difference", number(float((product - looked_up).abs().max()))),
               ("multiplications saved for each character", v * c))),
    ]  # fmt: skip
