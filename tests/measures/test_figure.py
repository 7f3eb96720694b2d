import pytest

from jetscale.errors import StorageError
from jetscale.measures import draw_axes
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


def test_every_mixture_is_named_and_the_axes_are_plain(axes, tmp_path):
    draw_axes(axes, tmp_path / "figures" / "mixtures.svg")
    text = (tmp_path / "figures" / "mixtures.svg").read_text()
    assert "<!-- qcd -->" in text
    assert "<!-- qcd+bsm -->" in text
    assert "effective number of labels" in text
    assert "against downstream jets" in text


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
