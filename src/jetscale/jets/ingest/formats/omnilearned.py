"""OmniLearned: one HDF5 layout for several sets (ViniciusMikuni/OmniLearned, arXiv 2510.24066).

``data`` (n, M, F) holds deta, dphi, log pT and log E of each particle, zero padded; with F = 5 also
a particle code, with F = 9 then tanh d0, d0 error, tanh dz and dz error. ``pid`` (n,) is the label,
counted through all sets. A slot is filled where log pT is not 0, as its authors define it.

The jet's axis is not in the files: ``jet_eta``, ``jet_phi`` and ``part_pz`` are absent, px and py
are measured from the axis. Particle codes are places in the authors' list `CODES`. tanh of a
displacement beyond 9 mm is 1 in single precision: it comes back as 10 mm, of the same feature.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jetscale.errors import DataError, unknown
from jetscale.jets.ingest.formats import particles
from jetscale.jets.ingest.formats.arrays import Slots, to_table
from jetscale.jets.ingest.formats.base import ANY, Array
from jetscale.jets.ingest.formats.files import Format, Wanted

SETS = {
    **{"jetclass": ("jetclass", 2), "jetclass2": ("jetclass2", 12), "top": ("top", 0)},
    **{"qg": ("quarkgluon", 0), "jetnet30": ("jetnet", 0), "jetnet150": ("jetnet", 0)},
    "aspen": ("unlabelled", 200),
}
"""Set to its corpus and its first label."""

COLUMNS = ("jet_pt", "jet_energy", "jet_nparticles", "jet_label")
CODES = np.array([-211, -13, -11, 0, 11, 13, 22, 130, 211])
_SATURATED = 10.0  # mm


def of_set(name: str | None) -> Format:
    """The format of one set; raises DataError where none or an unknown one is named."""
    if name is None:
        untold = "the files do not say which set they are"
        raise DataError(f"format omnilearned: {untold}; name it: {', '.join(SETS)}")
    if name not in SETS:
        raise DataError(unknown("OmniLearned set", name, SETS))
    corpus, first = SETS[name]
    wanted: Wanted = {"data": ("fiu", (ANY, (4, 5, 9))), "pid": ("fiu", ())}
    return Format("OmniLearned", corpus, ("HDF5",), wanted, partial(jets_of, first), COLUMNS)


def jets_of(first_label: int, path: Path, columns: dict[str, Any]) -> pa.Table:
    """Jets of particles around an axis that is not known."""
    padded = columns["data"]
    slots = Slots.of(padded[:, :, 2] != 0, padded[:, :, 2])
    deta, dphi, log_pt, log_energy, *rest = slots.pick(padded).astype(float).T
    pt, energy = np.exp(log_pt), np.exp(log_energy)
    px, py = pt * np.cos(dphi), pt * np.sin(dphi)
    parts = {"part_px": px, "part_py": py, "part_energy": energy}
    parts |= {"part_deta": deta, "part_dphi": dphi}
    if rest:
        code = rest[0]
        whole = np.isfinite(code) & (code == np.rint(code))
        foreign = whole & ((code < 0) | (code >= len(CODES)))
        if foreign.any():
            raise DataError(f"particle code {code[foreign][0]:g} is not in 0..{len(CODES) - 1}")
        places = np.where(whole, code, 0).astype(np.int64)
        parts |= particles.columns_of(np.where(whole, CODES[places], np.nan))
    if len(rest) == 5:
        parts |= {"part_d0val": _untanh(rest[1]), "part_d0err": rest[2]}
        parts |= {"part_dzval": _untanh(rest[3]), "part_dzerr": rest[4]}
    jets = {"jet_pt": np.hypot(slots.total(px), slots.total(py))}
    jets |= {"jet_energy": slots.total(energy)}
    jets |= {"jet_label": np.subtract(columns["pid"], first_label, dtype=float)}
    return to_table(slots, parts, jets)


def _untanh(value: Array) -> Array:
    """Displacements in mm; a value beyond 1 is no tanh and becomes NaN."""
    return np.clip(np.arctanh(value), -_SATURATED, _SATURATED)
