"""What is simulated: one process per JetClass class and per pretraining part.

A process is a pair of particles a b -> X X' fired by the gun (see `jetscale.jets.gun`), the Pythia
settings of its decays, and the transverse-momentum range of X. QCD has no pair: Pythia's own
``HardQCD`` makes it. Branching ratios of the new particles X and Y are those of the public
JetClass-II cards (arXiv 2405.12972). Multiparton interactions are off; soft overlay events stand in
for them (see `jetscale.jets.simulate`).

The pT ranges and slopes were fitted so that the accepted jets fall like the common target of
`jetscale.jets.spectrum`: classes that lose neutrinos start harder and fall more slowly.
"""

from dataclasses import dataclass

from jetscale.errors import DataError, unknown
from jetscale.jets.schema import JETCLASS

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
NEUTRAL_X, CHARGED_X, NEUTRAL_Y, CHARGED_Y, CASCADE_X = range(9000101, 9000106)

MASS_WIDTH = {HIGGS: (125.0, 0.004), Z: (91.19, 2.495), W: (80.38, 2.085), TOP: (172.5, 1.34)}
"""Breit-Wigner mass and width in GeV."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PtRange:
    """Transverse momentum of X in GeV: low + an exponential of ``slope``, cut at high."""

    low: float
    high: float
    slope: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One source of jets.

    Attributes
    ----------
    name
        A JetClass class or a part of JetClass-II.
    pairs
        X X' alternatives, drawn event by event; empty for QCD.
    cascade
        Y Y' alternatives of X -> Y Y', drawn for each X; empty where Pythia decays X itself.
    variants
        Decay settings; a run alternates between one generator per entry.
    pt
        Range of the X transverse momentum, or of the partonic one for QCD (its slope is unused).
    jets_per_event
        Measured yield of labelled jets after thinning to the common spectrum, for planning.
    """

    name: str
    pt: PtRange
    jets_per_event: float
    pairs: tuple[tuple[int, int], ...] = ()
    cascade: tuple[tuple[int, int], ...] = ()
    variants: tuple[tuple[str, ...], ...] = ((),)


def _new_particle(
    code: int, name: str, anti: str, charge3: int, decays: tuple[tuple[float, int, int], ...]
) -> tuple[str, ...]:
    lines = [
        f"{code}:new = {name} {anti} 1 {charge3} 0 100. 1e-3 0. 0. 0.",
        f"{code}:isResonance = true",
        f"{code}:doForceWidth = on",
    ]
    for i, (ratio, a, b) in enumerate(decays):
        verb = "addChannel" if i else "oneChannel"
        lines.append(f"{code}:{verb} = 1 {ratio:.6f} 101 {a} {b}")
    return tuple(lines)


_NEUTRAL = (
    *((0.125, quark, -quark) for quark in (5, 4, 3)),
    *((0.0625, quark, -quark) for quark in (2, 1)),
    (0.125, 21, 21),
    (0.0625, 11, -11),
    (0.0625, 13, -13),
    (0.25, 15, -15),
)
_UP_DOWN = tuple((up, -down) for up in (2, 4) for down in (1, 3, 5))
_CHARGED_X = tuple((1 / 6, up, down) for up, down in _UP_DOWN)
_CHARGED_Y = (
    *((0.625 / 6, up, down) for up, down in _UP_DOWN),
    (0.0625, -11, 12),
    (0.0625, -13, 14),
    (0.25, -15, 16),
)
_X_DECAYS = (
    *_new_particle(NEUTRAL_X, "X0", "void", 0, _NEUTRAL),
    *_new_particle(CHARGED_X, "X+", "X-", 3, _CHARGED_X),
)
_Y_DECAYS = (
    *_new_particle(CASCADE_X, "XX", "void", 0, ((1.0, 21, 21),)),
    *_new_particle(NEUTRAL_Y, "Y0", "void", 0, _NEUTRAL),
    *_new_particle(CHARGED_Y, "Y+", "Y-", 3, _CHARGED_Y),
)

_QUARKS = "1 2 3 4 5"
_LEPTONS = "11 13"
_HADRONIC_W = ("24:onMode = off", f"24:onIfAny = {_QUARKS}")
_LEPTONIC_W = ("24:onMode = off", f"24:onIfAny = {_LEPTONS}")


def _higgs_to(channel: str) -> tuple[str, ...]:
    return ("25:onMode = off", f"25:onIfMatch = {channel}")


def _one_leptonic_w(quarks: str, leptons: str) -> tuple[str, ...]:
    return (
        *_higgs_to("24 -24"),
        "24:onMode = off",
        f"24:on{quarks}IfAny = {_QUARKS}",
        f"24:on{leptons}IfAny = {_LEPTONS}",
    )


def _higgs(name: str, jets: float, *variants: tuple[str, ...], pt: PtRange) -> Process:
    return Process(
        name=name, jets_per_event=jets, pairs=((HIGGS, HIGGS),), variants=variants, pt=pt
    )


_HIGGS_PT = PtRange(low=480.0, high=1080.0, slope=115.0)
_BOSON_PT = PtRange(low=480.0, high=1080.0, slope=130.0)
_QCD_PT = PtRange(low=470.0, high=1250.0, slope=0.0)

PROCESSES = {
    process.name: process
    for process in (
        Process(name="QCD", jets_per_event=0.9, pt=_QCD_PT),
        _higgs("Hbb", 0.85, _higgs_to("5 -5"), pt=_HIGGS_PT),
        _higgs("Hcc", 0.9, _higgs_to("4 -4"), pt=_HIGGS_PT),
        _higgs("Hgg", 1.0, _higgs_to("21 21"), pt=_HIGGS_PT),
        _higgs("H4q", 0.85, (*_higgs_to("24 -24"), *_HADRONIC_W), pt=_HIGGS_PT),
        # with one generator alone the sign of the lepton would tell the class
        _higgs(
            "Hqql",
            0.56,
            _one_leptonic_w("Pos", "Neg"),
            _one_leptonic_w("Neg", "Pos"),
            pt=PtRange(low=500.0, high=1300.0, slope=125.0),
        ),
        Process(
            name="Zqq",
            jets_per_event=1.1,
            pairs=((Z, Z),),
            variants=(("23:onMode = off", f"23:onIfAny = {_QUARKS}"),),
            pt=_BOSON_PT,
        ),
        Process(
            name="Wqq", jets_per_event=1.1, pairs=((W, -W),), variants=(_HADRONIC_W,), pt=_BOSON_PT
        ),
        Process(
            name="Tbqq",
            jets_per_event=0.7,
            pairs=((TOP, -TOP),),
            variants=(_HADRONIC_W,),
            pt=PtRange(low=490.0, high=1080.0, slope=115.0),
        ),
        Process(
            name="Tbl",
            jets_per_event=0.5,
            pairs=((TOP, -TOP),),
            variants=(_LEPTONIC_W,),
            pt=PtRange(low=530.0, high=1300.0, slope=140.0),
        ),
        Process(name="qcd", jets_per_event=0.9, pt=_QCD_PT),
        Process(
            name="res2p",
            jets_per_event=0.75,
            pairs=((NEUTRAL_X, NEUTRAL_X), (CHARGED_X, -CHARGED_X)),
            variants=(_X_DECAYS,),
            pt=PtRange(low=480.0, high=1200.0, slope=115.0),
        ),
        Process(
            name="res34p",
            jets_per_event=0.62,
            pairs=((CASCADE_X, CASCADE_X),),
            cascade=((NEUTRAL_Y, NEUTRAL_Y), (CHARGED_Y, -CHARGED_Y)),
            variants=(_Y_DECAYS,),
            pt=PtRange(low=490.0, high=1200.0, slope=120.0),
        ),
    )
}

QCD_BIAS_POWER = 1.25
"""HardQCD events are enhanced by this power of the partonic pT, so that jets fall like the rest."""


def process_named(name: str) -> Process:
    """The process of that name; raises DataError for an unknown one."""
    if name not in PROCESSES:
        raise DataError(unknown("process", name, PROCESSES))
    return PROCESSES[name]


def sources_of(corpus: str, part: str | None) -> tuple[str, ...]:
    """Names of the processes whose jets make up a corpus: all classes, or the one part."""
    return JETCLASS if corpus == "jetclass" else (str(part),)


def settings_of(process: Process, variant: int = 0) -> tuple[str, ...]:
    """Pythia settings of a process, without the seed."""
    if process.pairs:
        return (*HARD, "Beams:frameType = 5", *process.variants[variant])
    return (
        *HARD,
        "HardQCD:all = on",
        f"PhaseSpace:pTHatMin = {process.pt.low}",
        f"PhaseSpace:pTHatMax = {process.pt.high}",
        "PhaseSpace:bias2Selection = on",
        f"PhaseSpace:bias2SelectionPow = {QCD_BIAS_POWER}",
        f"PhaseSpace:bias2SelectionRef = {process.pt.low}",
    )
