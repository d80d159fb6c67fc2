"""What the fields of a config demand of each other; each raises `ValueError`, which names the fields and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.config.run_config import RunConfig

INIT_OF_LAYERS = ("init", "last_layer_scale", "residual_scale")
"""How lab's own layers draw their weights; a model of a person's own draws them itself."""


def check_transformer(config: RunConfig) -> None:
    """Widths and heads fit, and what is switched on has what it needs."""
    c, heads = config.embedding_dim, config.heads
    if config.head_dim is None and c % heads:
        raise ValueError(f"heads={heads} must divide embedding_dim={c}")
    width = config.attention_width
    if config.positions == "rotary" and (width // heads) % 2:
        raise ValueError(f"positions=rotary needs an even head_dim, not {width // heads}")
    if config.attention != "learned" and (config.qk_norm or config.positions == "rotary"):
        turned = "qk_norm=true" if config.qk_norm else "positions=rotary"
        raise ValueError(f"{turned} needs attention=learned: an even average has no queries and keys")
    if config.norm_kind != "layer" and config.norm == "none":
        raise ValueError(f"norm_kind={config.norm_kind} needs norm=pre or norm=post")
    brought_back = width == c or config.output_projection
    if not config.value_projection and width != c:
        raise ValueError(
            f"value_projection=false needs heads × head_dim = embedding_dim, got {heads} × {width // heads} ≠ {c}"
        )
    if config.layers > 1 and not brought_back:
        raise ValueError(f"layers={config.layers} needs heads × head_dim = embedding_dim={c}, or output_projection")
    if config.layers and config.residual and not brought_back:
        raise ValueError(f"residual=true needs heads × head_dim = embedding_dim={c}, or output_projection")
    widened = config.feed_forward_multiple > 1 and not config.output_projection
    if config.layers and widened:
        raise ValueError(
            f"feed_forward_multiple={config.feed_forward_multiple} needs output_projection=true to return to C={c}"
        )
    if config.residual_scale != 1 and not config.output_projection:
        raise ValueError(f"residual_scale={config.residual_scale} needs output_projection=true, which it scales")
    if config.tied_embeddings and config.final_width != c:
        raise ValueError(f"tied_embeddings=true needs a last layer of embedding_dim={c}, not {config.final_width}")


def check_mlp(config: RunConfig) -> None:
    """A shared embedding is as wide as what the head reads."""
    if config.tied_embeddings and config.hidden_dim != config.embedding_dim:
        raise ValueError(
            f"tied_embeddings=true needs hidden_dim={config.hidden_dim} equal to embedding_dim={config.embedding_dim}"
        )
    if config.tied_embeddings and not config.layers and config.context_length > 1:
        raise ValueError("tied_embeddings=true needs layers=1 or more: a head on the whole window is wider than C")


def check_own(config: RunConfig) -> None:
    """A model of one's own has its file, and draws its weights itself."""
    if config.source_sha256 is None:
        raise ValueError("model=own needs the file of a model: lab train FILE.py:CLASS")
    fields = type(config).model_fields
    if any(getattr(config, name) != fields[name].default for name in INIT_OF_LAYERS):
        raise ValueError(f"{', '.join(INIT_OF_LAYERS)} do not apply to a model of one's own: it draws its weights")


def check_training(config: RunConfig) -> None:
    """Initialisation, optimiser and schedule go together, and with the model."""
    if config.activation_gain is not None and config.init != "kaiming":
        raise ValueError(f"activation_gain={config.activation_gain} needs init=kaiming, not init={config.init}")
    if config.adamw_lr is not None and config.optimizer != "muon":
        remedy = f"under {config.optimizer}, set adamw_lr=none"
        raise ValueError(f"adamw_lr={config.adamw_lr} needs optimizer=muon; {remedy}")
    if config.optimizer == "muon" and (config.model != "transformer" or not config.layers):
        raise ValueError("optimizer=muon needs a transformer with layers=1 or more, whose matrices it updates")
    if config.warmup_steps >= config.steps > 1 and config.warmup_steps:
        raise ValueError(f"warmup_steps={config.warmup_steps} must be below steps={config.steps}")
