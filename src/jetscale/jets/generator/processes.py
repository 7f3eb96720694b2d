"""What is simulated: the process behind each class, pretraining part or selection of labels.

A process is a pair a b -> X X' fired by the gun, what they decay to, and the range of X's pT. QCD
has no pair: Pythia's own processes make it. The pT ranges and slopes were fitted so that accepted
jets fall like the common target of their window. Settings lines are those of the Pythia 8.3 manual
(arXiv 2203.11601). A selection of QCD labels is only a filter: forcing heavy quarks into the hard
process would change what its jets look like, as most of their quarks come from the shower.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from jetscale.errors import DataError
from jetscale.jets.generator.decays import Mode, Pair, modes_for, selected_share
from jetscale.jets.schema import JETCLASS, PARTS, part_named

BEAM_ENERGY = 6500.0  # GeV
COMMON = (
    "Print:quiet = on",
    f"Beams:eCM = {2 * BEAM_ENERGY}",
    "Next:numberCount = 0",
    "Check:epTolErr = 1e-2",
    "Main:timesAllowErrors = 1000000",
    "Random:setSeed = on",
)
HARD = (*COMMON, "PartonLevel:MPI = off")
SOFT = (*COMMON, "SoftQCD:nonDiffractive = on")

HIGGS, Z, W, TOP = 25, 23, 24, 6
NEUTRAL_X, CHARGED_X, NEUTRAL_Y, CHARGED_Y = range(9000101, 9000105)
# Breit-Wigner mass and width in GeV
MASS_WIDTH = {HIGGS: (125.0, 0.004), Z: (91.19, 2.495), W: (80.38, 2.085), TOP: (172.5, 1.34)}


@dataclass(frozen=True, slots=True)
class PtRange:
    """Transverse momentum of X in GeV: low + an exponential of ``slope``, cut at high."""

    low: float
    high: float
    slope: float | None = None  # None: flat in the logarithm


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One source of jets."""

    name: str  # a JetClass class or a part of JetClass-II
    family: str  # the class itself, or ``res2p``, ``res34p`` or ``qcd``
    pt: PtRange  # range of the X transverse momentum, or of the partonic one for QCD
    jets_per_event: float  # labelled jets after thinning to the common spectrum, for planning
    labels: tuple[str, ...] = ()  # labels that are kept; empty for a JetClass class
    pair: Pair | None = None  # X X' that Pythia decays; None for JetClass-II and QCD
    modes: tuple[Mode, ...] = ()  # decays of X that the gun makes; empty for JetClass and QCD
    variants: tuple[tuple[str, ...], ...] = ((),)  # Pythia settings of generators that take turns

    @property
    def gun(self) -> bool:
        """Whether the particle gun makes the hard events."""
        return self.pair is not None or bool(self.modes)


# Resonances for Pythia's tables; their mass is that of the event, and the gun decays them.
_NAMES = {NEUTRAL_X: "X0 void", CHARGED_X: "X+ X-", NEUTRAL_Y: "Y0 void", CHARGED_Y: "Y+ Y-"}
_NEW_PARTICLES = tuple(
    line
    for code, names in _NAMES.items()
    for line in (
        f"{code}:new = {names} 1 {3 if '+' in names else 0} 0 100. 1e-3 0. 0. 0.",
        f"{code}:isResonance = true",
        f"{code}:doForceWidth = on",
        f"{code}:oneChannel = 1 1. 101 {'2 -1' if '+' in names else '21 21'}",
    )
)

_QUARKS, _LEPTONS = "1 2 3 4 5", "11 13"
_HADRONIC_W = ("24:onMode = off", f"24:onIfAny = {_QUARKS}")
_LEPTONIC_W = ("24:onMode = off", f"24:onIfAny = {_LEPTONS}")


def _higgs_to(channel: str) -> tuple[str, ...]:
    return ("25:onMode = off", f"25:onIfMatch = {channel}")


def _one_leptonic_w(quarks: str, leptons: str) -> tuple[str, ...]:
    """H -> W W with the W of the sign ``quarks`` (Pos or Neg) to quarks, the other to leptons."""
    decays = (f"24:on{quarks}IfAny = {_QUARKS}", f"24:on{leptons}IfAny = {_LEPTONS}")
    return (*_higgs_to("24 -24"), "24:onMode = off", *decays)


_HIGGS_PT, _BOSON_PT = PtRange(480.0, 1080.0, 115.0), PtRange(480.0, 1080.0, 130.0)


def _gun(
    name: str, jets: float, pt: PtRange, *decays: tuple[str, ...], pair: Pair | None = None
) -> Process:
    """A process of the gun: a pair with Pythia's settings for its decays, or a family of X."""
    return Process(
        name=name,
        family=name,
        jets_per_event=jets,
        pt=pt,
        pair=pair,
        modes=() if pair else modes_for(name, PARTS[name].labels),
        variants=tuple((*HARD, "Beams:frameType = 5", *lines) for lines in decays),
    )


_DIJETS = ("HardQCD:all = on",)
_Z_AND_JET = (
    "WeakBosonAndParton:qg2gmZq = on",
    "WeakBosonAndParton:qqbar2gmZg = on",
    "WeakZ0:gmZmode = 2",
    "23:onMode = off",
    "23:onIfAny = 12 14 16",
)


def _qcd(name: str, jets: float, *slices: tuple[float, float, float, tuple[str, ...]]) -> Process:
    """Pythia's own processes; a slice is lowest and highest partonic pT, power, and settings.

    Events are drawn (pT / lowest)^power times as often as they occur, and their weights are not
    used: the steeply falling spectrum becomes flat enough to be thinned to the common target.
    """
    variants = tuple(
        (
            *HARD,
            *hard,
            f"PhaseSpace:pTHatMin = {low}",
            f"PhaseSpace:pTHatMax = {high}",
            "PhaseSpace:bias2Selection = on",
            f"PhaseSpace:bias2SelectionPow = {power}",
            f"PhaseSpace:bias2SelectionRef = {low}",
        )
        for low, high, power, hard in slices
    )
    pt = PtRange(slices[0][0], slices[-1][1])
    return Process(name=name, family=name, jets_per_event=jets, pt=pt, variants=variants)


CLASSES = {
    process.name: process
    for process in (
        # The published jets recoil against a Z. Dijets alone have too many gluons, a Z and one
        # parton too few: turns between the two give about the published share of quarks.
        _qcd("QCD", 0.75, (470.0, 1250.0, 1.25, _DIJETS), (470.0, 1250.0, 1.25, _Z_AND_JET)),
        _gun("Hbb", 0.85, _HIGGS_PT, _higgs_to("5 -5"), pair=(HIGGS, HIGGS)),
        _gun("Hcc", 0.9, _HIGGS_PT, _higgs_to("4 -4"), pair=(HIGGS, HIGGS)),
        _gun("Hgg", 1.0, _HIGGS_PT, _higgs_to("21 21"), pair=(HIGGS, HIGGS)),
        _gun("H4q", 0.85, _HIGGS_PT, (*_higgs_to("24 -24"), *_HADRONIC_W), pair=(HIGGS, HIGGS)),
        _gun(
            "Hqql",
            0.56,
            PtRange(500.0, 1300.0, 125.0),
            # with one variant alone the sign of the lepton would tell the class
            _one_leptonic_w("Pos", "Neg"),
            _one_leptonic_w("Neg", "Pos"),
            pair=(HIGGS, HIGGS),
        ),
        _gun("Zqq", 1.1, _BOSON_PT, ("23:onMode = off", f"23:onIfAny = {_QUARKS}"), pair=(Z, Z)),
        _gun("Wqq", 1.1, _BOSON_PT, _HADRONIC_W, pair=(W, -W)),
        _gun("Tbqq", 0.7, PtRange(490.0, 1080.0, 115.0), _HADRONIC_W, pair=(TOP, -TOP)),
        _gun("Tbl", 0.5, PtRange(530.0, 1300.0, 140.0), _LEPTONIC_W, pair=(TOP, -TOP)),
    )
}
FAMILIES = {  # processes of whole parts, by window
    "jetclass": {
        "qcd": _qcd("qcd", 0.95, (470.0, 1250.0, 1.25, _DIJETS)),
        "res2p": _gun("res2p", 0.68, PtRange(480.0, 1200.0, 115.0), _NEW_PARTICLES),
        "res34p": _gun("res34p", 0.7, PtRange(490.0, 1200.0, 120.0), _NEW_PARTICLES),
    },
    "jetclass2": {
        # the partonic spectrum steepens towards high pT: one slice per factor of 2.5
        "qcd": _qcd(
            "qcd",
            0.95,
            (190.0, 470.0, 4.5, _DIJETS),
            (470.0, 1160.0, 5.0, _DIJETS),
            (1160.0, 2900.0, 8.0, _DIJETS),
        ),
        "res2p": _gun("res2p", 0.92, PtRange(190.0, 2900.0), _NEW_PARTICLES),
        "res34p": _gun("res34p", 1.15, PtRange(190.0, 2900.0), _NEW_PARTICLES),
    },
}

_NEUTRINO_PT, _NEUTRINO_YIELD = PtRange(540.0, 1400.0, 150.0), 0.7  # where every X loses neutrinos
_QCD_PER_MILLE = {
    **{"QCD_light": 628.0, "QCD_ss": 121.0, "QCD_s": 75.0, "QCD_cc": 49.0, "QCD_c": 42.0},
    **{"QCD_b": 23.0, "QCD_bb": 22.0, "QCD_ccss": 9.9, "QCD_css": 5.8, "QCD_ccs": 5.3},
    **{"QCD_cs": 3.6, "QCD_bbss": 3.2, "QCD_bss": 2.3, "QCD_bbs": 2.3, "QCD_bs": 1.6},
    **{"QCD_bbcc": 1.5, "QCD_bbc": 1.1, "QCD_bc": 1.0, "QCD_bcc": 0.9, "QCD_bbccss": 0.3},
    **{"QCD_bbcss": 0.2, "QCD_bccss": 0.1},
}
# Measured shares of QCD labels, for planning; the rarest count as 0.05 per mille.
QCD_SHARES = {label: _QCD_PER_MILLE.get(label, 0.05) / 1000 for label in PARTS["qcd"].labels}


def family_of(part: str) -> str:
    """``res2p``, ``res34p`` or ``qcd``; DataError for labels of several, StudyError for none."""
    labels = part_named(part).labels
    families = [name for name, whole in PARTS.items() if set(labels) & set(whole.labels)]
    if len(families) > 1:
        several = f"labels of {' and '.join(families)}, which are simulated differently"
        raise DataError(f"part {part!r} has {several}: give each a part of its own, with a weight")
    return families[0]


@lru_cache(maxsize=256)
def process_named(name: str, window: str = "jetclass") -> Process:
    """The process of a JetClass class, or of a part in a window; raises as `family_of`."""
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
    jets = whole.jets_per_event * min(1.0, share)
    return replace(whole, name=name, labels=labels, modes=modes, jets_per_event=jets)


def sources_of(corpus: str, part: str | None) -> tuple[str, ...]:
    """Names of the processes whose jets make up a corpus: all classes, or the one part."""
    return JETCLASS if corpus == "jetclass" else (str(part),)
