"""At rest every replica is asked for both amounts, the recorded one first, and may take a while to refuse the other."""

from uuid import UUID

import pytest

from ops.chaostest import rivals
from ops.chaostest.rivals import RivalAnswer, ask_rivals
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from tests.ops.chaostest.conftest import Reply, Serve

ID = UUID(int=1)
WON, LOST = OfferedAmount(200), OfferedAmount(100)
OFFER = OfferedPayment(ID, LOST, other_amount=WON, is_rival=True)


@pytest.mark.parametrize(
    ("won", "lost", "are_right"),
    [
        ([202], [409], [True, True]),
        ([503, 202], [202, 503, 409], [True, True]),
        ([409], [409], [False, True]),
        ([202], [202], [True, False]),
    ],
)
def test_both_amounts_are_asked_for_until_the_answer_does_not_change_any_more(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, won: list[int], lost: list[int], are_right: list[bool]
) -> None:
    monkeypatch.setattr(rivals, "TRY_STEP_S", 0)
    waiting = {b"2.0": won, b"1.0": lost}

    def reply(_method: str, _path: str, body: bytes) -> Reply:
        (statuses,) = (each for amount, each in waiting.items() if amount in body)
        return (statuses.pop(0) if len(statuses) > 1 else statuses[0]), {}, b""

    url = serve(reply)
    answers = ask_rivals([OFFER, OfferedPayment(UUID(int=2), WON)], {ID: (200, "BRL")}, [url])
    assert [(each.amount, each.expected) for each in answers] == [(WON, 202), (LOST, 409)]
    assert [each.is_right for each in answers] == are_right


def test_rivals_without_a_row_are_left_out() -> None:
    assert ask_rivals([OFFER], {}, []) == []


def test_no_answer_is_never_right() -> None:
    assert not RivalAnswer("", ID, WON, None, 202).is_right
