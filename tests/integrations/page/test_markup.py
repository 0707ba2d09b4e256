"""HTML out of templates."""

from __future__ import annotations

import htpy
from markupsafe import Markup

from aioinformers.integrations.page.markup import NOTHING_AT_ALL, fill, joined


def test_text_is_escaped_and_html_is_not() -> None:
    assert fill("<b>%s</b>%s", "<i>", Markup("<i>")) == "<b>&lt;i&gt;</b><i>"
    assert fill("%s", htpy.b["<"]) == "<b>&lt;</b>"
    assert fill('<a id="%s">', '"><script>') == '<a id="&#34;&gt;&lt;script&gt;">'
    assert fill("%s%s", 7, fill("%s", "100%")) == "7100%"


def test_pieces_stand_one_behind_the_other() -> None:
    made = joined([fill("<p>%s</p>", "<"), NOTHING_AT_ALL, fill("<p>%s</p>", ">")], " ")
    assert isinstance(made, Markup)
    assert made == "<p>&lt;</p>  <p>&gt;</p>"
