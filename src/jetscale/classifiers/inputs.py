"""Raw columns of padded jets to model inputs in torch, as `jetscale.mixtures.standardise` does.

An exported graph begins here, so that whoever serves it needs neither jetscale nor the constants.

Shape suffixes: J jets, L padded constituents, C list columns, S columns of a jet, F inputs.
"""

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from jetscale.jets.example import Feature, Schema
from jetscale.jets.schema import JETS
from jetscale.models.batch import Batch, View


class Inputs:
    """The inputs of a feature set from its columns, ``columns`` of constituents, ``of_jet``."""

    def __init__(
        self, schema: Schema, feature_set: str, constituents: int, scale_pt: float | None
    ) -> None:
        needed = schema.inputs_of(feature_set)
        self.columns = tuple(name for name in needed if name in schema.lists)
        self.of_jet = tuple(name for name in needed if name not in schema.lists)
        self.features = schema.features_of(feature_set)
        self.limit, self.scale_pt, self.jets = constituents, scale_pt, schema == JETS

    def arrays(self, table: pa.Table) -> tuple[NDArray[np.float32], ...]:
        """(J, L, C) constituents, (J, S) columns of the jets, both zero where padded, (J, L) mask.

        L is that of the longest jet, at most the limit of constituents.
        """
        lists = [table[name].combine_chunks() for name in self.columns]
        lengths = np.minimum(np.diff(lists[0].offsets.to_numpy()), self.limit)
        mask = np.arange(lengths.max()) < lengths[:, None]
        padded = np.zeros((*mask.shape, len(lists)), np.float32)
        for column, array in enumerate(lists):
            starts = array.offsets.to_numpy()[:-1]
            values = array.values.to_numpy(zero_copy_only=False).astype(np.float32)
            rows = starts[:, None] + np.arange(mask.shape[1])
            padded[..., column] = np.where(mask, values[np.minimum(rows, len(values) - 1)], 0)
        of_jet = [table[name].to_numpy().astype(np.float32) for name in self.of_jet]
        jets = np.stack(of_jet, axis=1) if of_jet else np.zeros((len(mask), 0), np.float32)
        return padded, jets, mask

    def values(self, x_JLC: Tensor, jets_JS: Tensor | None, mask_JL: Tensor) -> Tensor:
        """(J, L, F) inputs, zero where padded."""
        raw = {name: x_JLC[:, :, i] for i, name in enumerate(self.columns)}
        if jets_JS is not None:
            raw |= {name: jets_JS[:, i, None] for i, name in enumerate(self.of_jet)}
        if self.jets:
            raw |= _derived(raw, self.scale_pt)
        made = [_transform(feature, raw[feature.name]) for feature in self.features]
        inputs_JLF = torch.stack(made, dim=2)
        usable = mask_JL[:, :, None] & ~inputs_JLF.isnan()
        return torch.where(usable, inputs_JLF, torch.zeros_like(inputs_JLF))

    def batch(self, x_JLC: Tensor, jets_JS: Tensor | None, mask_JL: Tensor) -> Batch:
        """The batch of padded jets; constituents beyond the limit are masked."""
        jets, length = mask_JL.shape
        mask_JL = mask_JL & (torch.arange(length, device=mask_JL.device) < self.limit)[None, :]
        values = self.values(x_JLC, jets_JS, mask_JL).reshape(jets * length, -1)
        weights = mask_JL.to(values.dtype)
        bias = torch.where(mask_JL, 0.0, -torch.inf).to(values.dtype)
        mean = weights / weights.sum(1, keepdim=True).clamp(min=1)
        # a graph knows no lengths, so an architecture that needs them cannot be one
        nothing = np.empty(0, np.int64)
        view = View(jets=jets, length=length, bias=bias, mean=mean, lengths=nothing)
        labels = torch.zeros_like(mask_JL[:, 0], dtype=torch.int64)
        return Batch(values=values, views=(view,), labels=labels)


def _derived(raw: dict[str, Tensor], scale_pt: float | None) -> dict[str, Tensor]:
    """Features of jets that are not columns, those whose columns are there."""
    px, py, energy = raw["part_px"], raw["part_py"], raw["part_energy"]
    pt = (px * px + py * py).sqrt()
    factor = 1.0 if scale_pt is None else scale_pt / raw["jet_pt"]
    deta, dphi = raw["part_deta"], raw["part_dphi"]
    found = {
        "part_pt_log": (pt * factor).log(),
        "part_e_log": (energy * factor).log(),
        "part_logptrel": (pt / raw["jet_pt"]).log(),
        "part_logerel": (energy / raw["jet_energy"]).log(),
        "part_deltaR": (deta * deta + dphi * dphi).sqrt(),
    }
    displaced = {"part_d0": "part_d0val", "part_dz": "part_dzval"}
    return found | {name: raw[of].tanh() for name, of in displaced.items() if of in raw}


def _transform(feature: Feature, values: Tensor) -> Tensor:
    """As `Feature.transform`."""
    if feature.mean is None:
        return values
    return ((values - feature.mean) * feature.factor).clamp(feature.low, feature.high)
