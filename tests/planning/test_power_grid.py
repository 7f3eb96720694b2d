"""The grid of a study, as the power analysis sees it."""

import numpy as np
import pytest

from jetscale.errors import FitError
from jetscale.planning.overview import overview, power_grid
from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study
from jetscale.study.load import load_study


def study(sizes=3, data=(100, 200, 400), seeds=(1, 2), mixtures=("scratch", "qcd")) -> Study:
    return Study(
        name="s",
        source=Simulated(train_jets=1000),
        mixtures=tuple(
            Mixture(name=name, parts={} if name == "scratch" else {"qcd": 1.0}) for name in mixtures
        ),
        ladder=tuple(ModelSize(width=8 * 2**i, layers=1, heads=1) for i in range(sizes)),
        data_sizes=data,
        seeds=seeds,
        controls=Controls(pretraining_jets=500, validation_jets=50, test_jets=50),
    )


@pytest.mark.slow
def test_every_real_sweep_costs_what_its_plan_says(real_sweep):
    plan = overview(load_study(real_sweep))
    if any("a law needs at least 3" in line for line in plan["warnings"]):
        with pytest.raises(FitError, match="the planned grid has 1 model size"):
            power_grid(load_study(real_sweep))
        return
    grid = power_grid(load_study(real_sweep))
    assert grid.total == pytest.approx(plan["flops"])
    assert len(grid.mixtures) * grid.seeds.sum() == plan["finetuning_runs"]
    assert grid.mixtures == tuple(plan["mixtures"])
    assert np.unique(grid.examples).tolist() == sorted(plan["data_sizes"])
    assert set(grid.params) == {row["params"] for row in plan["rows"]}


def test_scratch_alone_has_no_trunks():
    assert not power_grid(study(mixtures=("scratch",))).pretrained
    grid = power_grid(study())
    assert grid.pretrained
    table = grid.runs(np.zeros(18))
    assert table.groupby("trunk")["examples"].nunique().tolist() == [3] * 6


def test_a_new_model_size_pays_for_its_pretraining():
    scratch, both = (power_grid(study(mixtures=m)) for m in (("scratch",), ("scratch", "qcd")))
    added = [g.with_cells(2 * g.params.max(), 400).total - g.total for g in (scratch, both)]
    largest = both.pretraining_flops.max()
    assert added[1] - 2 * added[0] > 2 * largest  # two seeds, each dearer than at the largest size
    same = [g.with_cells(g.params.max(), 800).total - g.total for g in (scratch, both)]
    assert same[1] == pytest.approx(2 * same[0])


@pytest.mark.parametrize(
    ("grid", "message"),
    [({"sizes": 2}, "2 model sizes"), ({"data": (100,)}, "1 data size")],
)
def test_too_few_sizes_for_a_law(grid, message):
    with pytest.raises(FitError, match=f"the planned grid has {message}, needs at least 3"):
        power_grid(study(**grid))
