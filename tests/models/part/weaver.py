"""weaver-core's ParticleTransformer with the weights of ours, and the four-vectors it asks for."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from jetscale.models.batch import Batch

WHY = "weaver-core is not installed: `make venv` installs it without what its models do not need"
MODULE = "weaver.nn.model.ParticleTransformer"
_BLOCK = {
    "c_attn": "head_scale",
    "w_resid": "residual_scale",
    "pre_attn_norm": "attention_norm",
    "attn.in_proj": "qkv",
    "attn.out_proj": "output",
    "post_attn_norm": "output_norm",
    "pre_fc_norm": "mlp_norm",
    "fc1": "up",
    "post_fc_norm": "hidden_norm",
    "fc2": "down",
}


def reference() -> Any:
    """The module of weaver-core, or a skipped test."""
    return pytest.importorskip(MODULE, reason=WHY)


def renamed(name: str) -> str:
    """Our name of a weight or buffer of weaver's."""
    first, _, rest = name.partition(".")
    if first in ("blocks", "cls_blocks"):
        number, _, rest = rest.partition(".")
        stem = next(stem for stem in _BLOCK if rest.startswith(stem))
        room = {"blocks": "blocks", "cls_blocks": "class_blocks"}[first]
        return f"trunk.{room}.{number}.{_BLOCK[stem]}{rest[len(stem) :]}"
    if first == "embed":
        inner, _, rest = rest.partition(".")
        if inner == "input_bn":
            return f"trunk.embedding.0.{rest}"
        number, _, rest = rest.partition(".")
        return f"trunk.embedding.{int(number) + 1}.{rest}"
    if first == "fc":
        return f"head.{rest.partition('.')[2]}"
    return {"pair_embed": "trunk.pair_embedding", "norm": "trunk.norm"}.get(
        first, "trunk.class_token"
    ) + (f".{rest}" if rest else "")


def twin(model: Any, features: int, outputs: int, *, trim: bool = False) -> Any:
    """weaver's model of the same size, without dropout, with copies of our weights."""
    block = model.trunk.blocks[0]
    width = len(block.residual_scale)
    other = (
        reference()
        .ParticleTransformer(
            input_dim=features,
            num_classes=outputs,
            embed_dims=(width, 4 * width, width),
            pair_embed_dims=(model.trunk.pair_embedding.embed[1].out_features,) * 3,
            num_heads=block.heads,
            num_layers=len(model.trunk.blocks),
            block_params={"dropout": 0, "attn_dropout": 0, "activation_dropout": 0},
            trim=trim,
        )
        .to(model.head.weight.dtype)
    )
    ours = model.state_dict()
    state = other.state_dict()
    names = {name: renamed(name) for name in state}
    assert sorted(names.values()) == sorted(ours)
    other.load_state_dict({k: ours[v].reshape(state[k].shape) for k, v in names.items()})
    other.embed.forward = packed(other.embed)
    return other


def packed(embed: Any) -> Callable[[Tensor], Any]:
    """An embedding that sees all (1, F, n) constituents of a batch and nothing else.

    weaver's own batch norm of the inputs sees padding, too, whatever stands there.
    """

    def forward(x: Tensor) -> Any:
        real = embed.mask.squeeze(1)
        found = type(embed).forward(embed, x.transpose(1, 2)[real].T[None])[0]
        out = found.new_zeros(*real.shape, found.shape[1])
        return out.masked_scatter(real[..., None], found)

    return forward


def inputs_of(batch: Batch, columns: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """(J, F, L) features, (J, 4, L) massless four-vectors and the (J, 1, L) mask of a batch."""
    longest = max(view.length for view in batch.views)
    kept, masks, start = [], [], 0
    for view in batch.views:
        rows = batch.values[start : start + view.jets * view.length]
        start += len(rows)
        more = (0, 0, 0, longest - view.length)
        real = torch.arange(longest) < torch.from_numpy(view.lengths)[:, None]
        rows = torch.nn.functional.pad(rows.view(view.jets, view.length, -1), more)
        kept.append(rows * real[..., None])
        masks.append(real)
    x, mask = torch.cat(kept), torch.cat(masks)[:, None]
    pt, eta, phi = (x[..., columns.index(f"part_{name}")] for name in ("pt_log", "deta", "dphi"))
    pt = (pt / 0.7 + 1.7).exp()
    v = (pt * phi.cos(), pt * phi.sin(), pt * eta.sinh(), pt * eta.cosh())
    return x.transpose(1, 2), torch.stack(v, 1) * mask, mask


def apply(other: Any, batch: Batch, columns: Sequence[str]) -> Any:
    """(J, C) outputs of weaver's model."""
    x, v, mask = inputs_of(batch, columns)
    other.embed.mask = mask
    return other(x, v, mask)
