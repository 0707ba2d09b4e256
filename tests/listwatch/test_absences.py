"""What cannot be listed is gone once the server has said so twice, long enough apart, and nothing else meanwhile."""

from __future__ import annotations

from aioinformers.listwatch.absences import Absences
from aioinformers.types import Absence

GONE = Absence(is_gone=True, reason="/apis does not name it")
KEPT = Absence(is_gone=False, reason="/apis names it")


def test_g5_one_answer_is_not_believed() -> None:
    absences = Absences(30)
    assert not absences.is_certain(GONE, 0, 1)
    assert absences.remark == "its objects are kept for now: /apis does not name it"


def test_g5_the_time_between_counts_from_the_first_answer_to_the_second_question() -> None:
    absences = Absences(30)
    assert not absences.is_certain(GONE, 0, 5)
    assert not absences.is_certain(GONE, 34.9, 40)
    assert absences.is_certain(GONE, 35, 36)
    absences.let_go(GONE)
    assert absences.remark == "/apis does not name it"
    assert not absences.is_certain(GONE, 100, 101), "it begins anew"


def test_g5_another_answer_begins_the_time_anew() -> None:
    absences = Absences(30)
    assert not absences.is_certain(GONE, 0, 1)
    assert not absences.is_certain(KEPT, 20, 21)
    assert absences.remark == "its objects are kept: /apis names it"
    assert not absences.is_certain(GONE, 50, 51)
    assert absences.is_certain(GONE, 81, 82)


def test_g5_so_does_another_failure_or_a_list() -> None:
    absences = Absences(30)
    for keeps_remark, remark in ((True, "its objects are kept for now: /apis does not name it"), (False, "")):
        assert not absences.is_certain(GONE, 0, 1)
        absences.forget(keeps_remark=keeps_remark)
        assert absences.remark == remark
        assert not absences.is_certain(GONE, 50, 51)
        absences.forget()
