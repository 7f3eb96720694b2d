"""The comparison of mixtures in the report."""

import pytest

from jetscale.scaling import compare, fit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def comparison(study):
    return compare(fit(study, replicates=50))


def rows_of(page, heading):
    """Rows below the header row that has the heading."""
    rows = [[cell.strip() for cell in row] for row in page.rows["frontier"]]
    start = next(i for i, row in enumerate(rows) if heading in row)
    width = len(rows[start])
    found = []
    for row in rows[start + 1 :]:
        if len(row) != width or row[0] == rows[start][0]:
            break
        found.append(row)
    return rows[start], found


@pytest.mark.long
def test_every_pair_has_its_differences_and_verdict(full, comparison):
    _, page = full
    head, rows = rows_of(page, "with one floor E")
    assert head[:3] == ["a", "b", "verdict"]
    assert [(row[0], row[1]) for row in rows] == [(p.a, p.b) for p in comparison.pairs]
    for row, pair in zip(rows, comparison.pairs, strict=True):
        assert row[2] == pair.verdict.text
        assert row[3] == str(pair.n_cells)


def test_every_hypothesis_has_a_column(full, comparison):
    _, page = full
    head, rows = rows_of(page, "labels swapped")
    assert head[2] == "one law"
    assert "alpha, beta" in head
    assert len(head) == 3 + len(comparison.pairs[0].tests)
    for row in rows:
        assert all(0 < float(p) <= 1 for p in row[2:])


def test_ratios_are_those_at_the_middle_of_the_compute(full, comparison):
    _, page = full
    _, rows = rows_of(page, "compute for equal loss: a over b")
    assert len(rows) == len(comparison.pairs)
    for row, pair in zip(rows, comparison.pairs, strict=True):
        shown = float(row[4].split()[0])
        assert shown == pytest.approx(pair.compute_multiplier.value, rel=0.06)


@pytest.mark.long
def test_one_mixture_is_not_compared(study, report):
    _, page = report(study[study["mixture"] == "qcd"])
    assert "Not compared: a comparison needs two fitted mixtures" in page.text["frontier"]
