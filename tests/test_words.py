from jetscale.words import short


def test_short_counts():
    assert [short(x) for x in (656, 2592, 1.2e6, 0.5)] == ["656", "2.59k", "1.2M", "0.5"]
    assert [short(x, 2) for x in (888e6, 999.9, 12345)] == ["890M", "1k", "12k"]
