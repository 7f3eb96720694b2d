"""The published standardisation of constituents: raw columns to model inputs.

Derived columns and constants follow ``JetClass_full.yaml`` of jet-universe/particle_transformer
(arXiv 2202.03772), in float32 as there, so values agree bit for bit. Constituents are taken in file
order, leading ones first, and never padded. JetClass-II is published with one change
(``JetClassII_full.yaml`` of jet-universe/sophon, arXiv 2405.12972), which ``scale_pt`` asks for:
``part_pt_log`` and ``part_e_log`` come from 4-vectors scaled to a jet pT of 500 GeV.
"""

from collections.abc import Callable, Mapping
from operator import itemgetter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jetscale.jets.arrays import Ints, edges_of, rows_of
from jetscale.jets.example import Schema
from jetscale.jets.schema import JETS
from jetscale.mixtures.ragged import Ragged

VERSION = 1  # raised when the same jets become other inputs

Float = NDArray[np.float32]
_PT = "pT"  # shared by two features, computed once
_SCALED_PT, _SCALED_ENERGY = "scaled pT", "scaled energy"

_DERIVED: Mapping[str, Callable[[Mapping[str, Float]], Float]] = {
    "part_pt_log": lambda raw: np.log(raw[_SCALED_PT]),
    "part_e_log": lambda raw: np.log(raw[_SCALED_ENERGY]),
    "part_logptrel": lambda raw: np.log(raw[_PT] / raw["jet_pt"]),
    "part_logerel": lambda raw: np.log(raw["part_energy"] / raw["jet_energy"]),
    "part_deltaR": lambda raw: np.hypot(raw["part_deta"], raw["part_dphi"]),
    "part_d0": lambda raw: np.tanh(raw["part_d0val"]),
    "part_dz": lambda raw: np.tanh(raw["part_dzval"]),
}


def columns_for(feature_set: str, schema: Schema = JETS) -> tuple[str, ...]:
    """Columns of a shard that a feature set needs, the label last."""
    return (*schema.inputs_of(feature_set), schema.label)


def standardise(
    table: pa.Table,
    feature_set: str,
    constituents: int,
    *,
    scale_pt: float | None = None,
    schema: Schema = JETS,
) -> Ragged:
    """The leading ``constituents`` of each example as standardised features, in the set's order.

    Args:
        table: Examples with the columns of `columns_for`; slices and chunks are fine.
        feature_set: ``kin``, ``kinpid`` or ``full`` for jets, or a name of another schema.
        scale_pt: Jet pT in GeV to which 4-vectors are scaled for the features ``part_pt_log`` and
            ``part_e_log``; 500 is the published standardisation of JetClass-II, None (no scaling)
            that of JetClass.
        schema: Features of other fields than jets are their columns, shifted, scaled and clipped.

    Raises:
        DataError: The table lacks columns of the feature set.
    """
    schema.check_columns(table.column_names, feature_set, "the table")
    needed = columns_for(feature_set, schema)
    features = schema.features_of(feature_set)
    # a feature set of jets and of any other field begins with a constituent column
    index, offsets = _leading(table[needed[0]].combine_chunks(), constituents)
    lengths = np.diff(offsets)
    raw: dict[str, Float] = {}
    for name in needed[:-1]:
        if name in schema.lists:  # charges and flags become numbers
            kept = table[name].combine_chunks().values.to_numpy(zero_copy_only=False)[index]
            raw[name] = kept.astype(np.float32, copy=False)
        else:
            raw[name] = np.repeat(table[name].to_numpy().astype(np.float32), lengths)
    values = np.empty((int(offsets[-1]), len(features)), np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        if schema == JETS:
            raw |= _momenta(raw, scale_pt)
        for i, feature in enumerate(features):
            # names of jets' features are theirs alone, see `make_schema`
            derive = _DERIVED.get(feature.name, itemgetter(feature.name))
            values[:, i] = feature.transform(derive(raw))
    np.nan_to_num(values, copy=False, nan=0.0, posinf=None, neginf=None)
    labels = table[schema.label].to_numpy().astype(np.int64)
    return Ragged(values=values, offsets=offsets, labels=labels)


def _momenta(raw: Mapping[str, Float], scale_pt: float | None) -> dict[str, Float]:
    """Transverse momenta and energies as they are and scaled, in the published order of steps."""
    px, py, energy = raw["part_px"], raw["part_py"], raw["part_energy"]
    pt = np.hypot(px, py)
    if scale_pt is None:
        return {_PT: pt, _SCALED_PT: pt, _SCALED_ENERGY: energy}
    px, py, energy = (p / raw["jet_pt"] * np.float32(scale_pt) for p in (px, py, energy))
    return {_PT: pt, _SCALED_PT: np.hypot(px, py), _SCALED_ENERGY: energy}


def _leading(lists: pa.ListArray, limit: int) -> tuple[slice | Ints, Ints]:
    """Positions of the kept constituents in the flat values, and the offsets of the result.

    The offsets of a sliced list array are absolute while ``.values`` ignores the slice, so
    positions are absolute too.
    """
    found = lists.offsets.to_numpy().astype(np.int64)
    lengths = np.diff(found)
    kept = np.minimum(lengths, limit)
    if np.array_equal(kept, lengths):
        return slice(int(found[0]), int(found[-1])), edges_of(kept)
    return rows_of(found[:-1], kept), edges_of(kept)
