import pytest

from jetscale.errors import StorageError
from jetscale.measures import draw_axes
from jetscale.measures.figure import mixture_map
from jetscale.measures.result import Axes, Value


@pytest.fixture
def axes():
    points = {
        name: {
            "diversity": Value.around(labels, 0.5),
            "alignment": Value.around(alignment, 0.03),
        }
        for name, labels, alignment in (("qcd", 4.0, 0.3), ("qcd+bsm", 30.0, 0.5))
    }
    return Axes(
        points=points, correlation=None, verdict="2 mixtures: takes three", others={}, corners=None
    )


@pytest.mark.slow
def test_every_mixture_is_named_and_the_axes_are_plain(axes, tmp_path):
    draw_axes(axes, tmp_path / "figures" / "mixtures.svg")
    text = (tmp_path / "figures" / "mixtures.svg").read_text()
    assert "<!-- qcd -->" in text
    assert "<!-- qcd+bsm -->" in text
    assert "effective number of labels" in text
    assert "against downstream jets" in text


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".svg", ".png"])
def test_the_same_axes_give_the_same_bytes(axes, tmp_path, kind):
    first, second = tmp_path / f"a{kind}", tmp_path / f"b{kind}"
    draw_axes(axes, first)
    draw_axes(axes, second)
    assert first.read_bytes() == second.read_bytes()


def test_a_name_that_is_no_picture(axes, tmp_path):
    with pytest.raises(StorageError, match=r"its ending is '\.gif', use \.png"):
        draw_axes(axes, tmp_path / "mixtures.gif")
    assert not list(tmp_path.iterdir())


def test_a_mixture_closer_than_the_noise_is_inside_the_frame(axes, tmp_path):
    point = {"diversity": Value.around(9.0, 0.1), "alignment": Value.around(1.04, 0.05)}
    many = {f"mixture-{i}": point for i in range(9)}
    draw_axes(
        Axes(points=many, correlation=None, verdict="a; not collinear", others={}, corners=None),
        tmp_path / "many.svg",
    )
    text = (tmp_path / "many.svg").read_text()
    assert all(f"<!-- {name} -->" in text for name in many)
    assert "<!-- not collinear -->" in text


def test_every_picture_shows_the_same_map(axes):
    found = mixture_map(axes.points)
    assert list(found.points) == ["qcd", "qcd+bsm"]
    for name, point in found.points.items():
        x, y = axes.points[name]["diversity"], axes.points[name]["alignment"]
        assert (point.x, point.y) == (x.value, y.value)
        assert point.x - point.x_bars[0] == pytest.approx(x.low)
        assert point.x + point.x_bars[1] == pytest.approx(x.high)
        assert point.y + point.y_bars[1] == pytest.approx(y.high)
        assert found.x_range[0] < x.low < x.high < found.x_range[1]
    assert found.y_range == (0.0, 1.05)
    assert found.ticks[:4] == (1, 2, 5, 10)


def test_an_alignment_beyond_one_widens_the_map(axes):
    point = {"diversity": Value.around(9.0, 0.1), "alignment": Value.around(1.04, 0.05)}
    low = {"diversity": Value.around(9.0, 0.1), "alignment": Value.around(0.01, 0.05)}
    found = mixture_map({"a": point, "b": low})
    assert found.y_range == (low["alignment"].low, point["alignment"].high)
