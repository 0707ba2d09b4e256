"""The small pictures of the page."""

from __future__ import annotations

import pytest

from aioinformers.integrations.page.figures import TONES, badge, bar, identifier, number, rate_text, sparkline, tone_of
from aioinformers.integrations.snapshot import Strain, Verdict
from tests.integrations.markup import Markup, words


def test_every_verdict_and_strain_has_its_colour() -> None:
    assert TONES.keys() == set(Verdict)
    assert {tone_of(strain) for strain in Strain} == {"good", "odd", "bad"}
    assert str(badge(Verdict.SYNCING, "7 of 9")) == '<span class="badge busy">SYNCING 7 of 9</span>'
    assert words(str(badge(Verdict.LIVE))) == "LIVE"


def test_ids_are_the_same_for_the_same_names_and_can_hold_anything() -> None:
    assert identifier("a", "b") == identifier("a", "b")
    assert len({identifier("a", "b"), identifier("ab"), identifier("", "ab"), identifier("b", "a")}) == 4
    assert identifier('"><script>').isalnum()


@pytest.mark.parametrize(("rate", "text"), [(None, "–"), (0.0, "0"), (0.42, "0.4"), (12.4, "12"), (1234.0, "1,234")])
def test_rates(rate: float | None, text: str) -> None:
    assert rate_text(rate) == text


def test_thousands_stand_apart() -> None:
    assert number(1234567) == "1,234,567"


@pytest.mark.parametrize(("share", "width"), [(-1.0, "0"), (0.0, "0"), (0.1234, "12.3"), (1.0, "100"), (7.0, "100")])
def test_a_bar_is_as_wide_as_its_share(share: float, width: str) -> None:
    rail, fill = Markup(str(bar(share, "odd"))).all("rect")
    assert (rail["width"], fill["width"]) == ("100", width)


def points(values: list[float]) -> list[tuple[float, float]]:
    (line,) = Markup(str(sparkline(values, 5))).all("polyline")
    return [(float(x), float(y)) for x, y in (point.split(",") for point in (line["points"] or "").split())]


def test_a_curve_ends_at_the_right_and_its_highest_point_has_room_above() -> None:
    curve = points([0.0, 5.0, 10.0])
    assert [x for x, _ in curve] == [120.0, 180.0, 240.0]
    assert curve[0][1] > curve[1][1] > curve[2][1] >= 0
    assert points([3.0]) == [(240.0, 8.4)]
    assert Markup(str(sparkline([], 5))).all("polyline") == []
