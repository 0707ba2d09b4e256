"""What to do about failures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aioinformers import errors
from aioinformers.integrations import advice
from aioinformers.integrations.advice import Advice, advice_on

DOCS = Path(__file__).resolve().parents[2] / "docs"

FAILURES: list[tuple[Exception | None, str]] = [
    (errors.ConnectionFailedError("refused"), "can this machine reach the API server?"),
    (errors.CredentialsError("no token"), "exec plug-in or the token file"),
    (errors.UnauthorizedError(401), "renew them"),
    (errors.ForbiddenError(403), "Grant list and watch"),
    (errors.ResourceNotFoundError(404), "Install the CustomResourceDefinition"),
    (errors.ServerBusyError(503), "busy or starting"),
    (errors.GoneError(410), "everything is listed again"),
    (errors.ResponseError("no JSON"), "no API server"),
    (errors.ApiStatusError(500), "tries again by itself"),
    (None, "tries again by itself"),
]


@pytest.mark.parametrize(("error", "words"), FAILURES, ids=lambda value: type(value).__name__)
def test_each_failure_has_its_advice(error: Exception | None, words: str) -> None:
    assert words in advice_on(error).text


def test_every_page_and_heading_that_is_named_exists() -> None:
    constants = [value for value in vars(advice).values() if isinstance(value, Advice)]
    for each in {advice_on(error) for error, _ in FAILURES} | set(constants):
        page, _, anchor = each.page.partition("#")
        headings = re.findall(r"^#+ (.+)$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in slugs, each.page
        assert each.text.endswith((".", "?"))
