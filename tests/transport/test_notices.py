"""What a server says beside its answers."""

from __future__ import annotations

import pytest

from aioinformers.transport.notices import MOST_AT_ONCE, notices_of

DEPRECATED = "policy/v1beta1 PodDisruptionBudget is deprecated in v1.21+, unavailable in v1.25+"


@pytest.mark.parametrize(
    ("headers", "texts"),
    [
        ([], []),
        ([f'299 - "{DEPRECATED}"'], [DEPRECATED]),
        ([f'299 - "{DEPRECATED}", 299 kube "other"'], [DEPRECATED, "other"]),
        ([f'299 - "{DEPRECATED}"', '299 - "other" "Wed, 21 Oct 2026 07:28:00 GMT"'], [DEPRECATED, "other"]),
        ([r'299 - "say \"no\" \\ twice"'], [r'say "no" \ twice']),
        (['110 - "response is stale"', "299", "299 -", '299 - "unclosed', "odd"], []),
        (['299 - "\x1b[31mred"'], [r"\x1b[31mred"]),
    ],
)
def test_texts_of_the_header(headers: list[str], texts: list[str]) -> None:
    assert notices_of(headers) == texts


def test_g8_of_many_some_are_read_and_none_is_long() -> None:
    texts = notices_of([f'299 - "{number}"' for number in range(1000)])
    assert texts == [str(number) for number in range(MOST_AT_ONCE)]
    assert len(notices_of([f'299 - "{"x" * 3_000}"'])[0]) == 300
