"""The last measurement on disk."""

from dataclasses import replace

from jetscale.measures import Axes, MeasureTable, Row, Value, keep, kept
from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study

STUDY = Study(
    name="s",
    source=Simulated(train_jets=100, seed=1),
    mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1.0})),
    ladder=(ModelSize(width=8, layers=1, heads=1),),
    data_sizes=(20,),
    seeds=(1,),
    controls=Controls(pretraining_jets=50, validation_jets=10, test_jets=10, constituents=16),
)
ROW = Row(diversity={}, alignment={}, transfer=None)
POINT = {"diversity": Value(value=4.0, low=3.0, high=5.0)}
FOUND = MeasureTable(
    study="s",
    jets=10,
    downstream=ROW,
    mixtures={"qcd": ROW},
    axes=Axes(points={"qcd": POINT}, correlation=None, verdict="v", others={}, corners=None),
    notes=(),
    sentences={},
)


def test_what_is_kept_comes_back(tmp_path):
    keep(FOUND, STUDY, tmp_path)
    found = kept(STUDY, tmp_path)
    assert found is not None
    assert found["axes"]["points"]["qcd"]["diversity"]["value"] == 4.0


def test_other_mixtures_were_not_measured(tmp_path):
    keep(FOUND, STUDY, tmp_path)
    changed = replace(STUDY, mixtures=(*STUDY.mixtures, Mixture(name="b", parts={"res2p": 1.0})))
    assert kept(changed, tmp_path) is None
    assert kept(replace(STUDY, seeds=(1, 2)), tmp_path) is not None


def test_nothing_or_damage_is_nothing(tmp_path):
    assert kept(STUDY, tmp_path) is None
    (tmp_path / "measures.json").write_text("{half")
    assert kept(STUDY, tmp_path) is None
