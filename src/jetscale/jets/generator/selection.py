"""The process that makes the jets of a class, a part or a selection of labels.

A part of JetClass-II is simulated by its family: two-leaf resonances, four-leaf ones, or QCD. A
selection of resonance labels keeps the decays that can give one of them; jets with other labels are
dropped later. A selection of QCD labels is only a filter: forcing heavy quarks into the hard
process would change what the jets of a label look like, as most of their quarks come from the
shower. Expected yields are for planning alone.
"""

from dataclasses import replace
from functools import lru_cache

from jetscale.errors import DataError
from jetscale.jets.generator.decays import Mode, modes_for, selected_share
from jetscale.jets.generator.processes import CLASSES, FAMILIES, Process, PtRange
from jetscale.jets.schema import JETCLASS, PARTS, part_named

_NEUTRINO_PT = PtRange(low=540.0, high=1400.0, slope=150.0)  # where every X loses neutrinos
_NEUTRINO_YIELD = 0.7
_QCD_PER_MILLE = {
    **{"QCD_light": 628.0, "QCD_ss": 121.0, "QCD_s": 75.0, "QCD_cc": 49.0, "QCD_c": 42.0},
    **{"QCD_b": 23.0, "QCD_bb": 22.0, "QCD_ccss": 9.9, "QCD_css": 5.8, "QCD_ccs": 5.3},
    **{"QCD_cs": 3.6, "QCD_bbss": 3.2, "QCD_bss": 2.3, "QCD_bbs": 2.3, "QCD_bs": 1.6},
    **{"QCD_bbcc": 1.5, "QCD_bbc": 1.1, "QCD_bc": 1.0, "QCD_bcc": 0.9, "QCD_bbccss": 0.3},
    **{"QCD_bbcss": 0.2, "QCD_bccss": 0.1},
}
_RAREST_QCD = 0.05
QCD_SHARES = {label: _QCD_PER_MILLE.get(label, _RAREST_QCD) / 1000 for label in PARTS["qcd"].labels}
"""Measured shares of QCD labels, for planning."""


def family_of(part: str) -> str:
    """``res2p``, ``res34p`` or ``qcd``, which a part's labels must all belong to.

    Raises
    ------
    StudyError
        Neither a part nor labels.
    DataError
        The labels belong to more than one family.
    """
    labels = part_named(part).labels
    families = [name for name, whole in PARTS.items() if set(labels) & set(whole.labels)]
    if len(families) > 1:
        raise DataError(
            f"part {part!r} has labels of {' and '.join(families)}, which are simulated "
            "differently: give each a part of its own, with a weight"
        )
    return families[0]


@lru_cache(maxsize=256)
def process_named(name: str, window: str = "jetclass") -> Process:
    """The process of a JetClass class, or of a part of JetClass-II in a window.

    Raises
    ------
    StudyError, DataError
        The name is no class and no part, or the part has labels of more than one family.
    """
    if name in CLASSES:
        return CLASSES[name]
    labels, family = part_named(name).labels, family_of(name)
    whole = FAMILIES[window][family]
    modes: tuple[Mode, ...] = ()
    if family == "qcd":
        share = sum(QCD_SHARES[label] for label in labels)
    else:
        modes = modes_for(family, labels)
        share = selected_share(modes, labels) / selected_share(whole.modes, PARTS[family].labels)
        if window == "jetclass" and all(mode.has_neutrinos for mode in modes):
            whole, share = replace(whole, pt=_NEUTRINO_PT), _NEUTRINO_YIELD * share
    return replace(
        whole,
        name=name,
        labels=labels,
        modes=modes,
        jets_per_event=whole.jets_per_event * min(1.0, share),
    )


def sources_of(corpus: str, part: str | None) -> tuple[str, ...]:
    """Names of the processes whose jets make up a corpus: all classes, or the one part."""
    return JETCLASS if corpus == "jetclass" else (str(part),)
