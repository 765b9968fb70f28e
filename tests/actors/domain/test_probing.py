"""A processor that was down is knocked at before it is probed, and each wish is told once."""

from actors.domain.probing import KNOCK_PAUSE_S, PROBE_PAUSE_S, Probing

NOW_S = 1000.0


def test_it_is_knocked_at_once_until_there_is_an_answer() -> None:
    probing = Probing()
    assert probing.wants_knock(NOW_S)
    assert not probing.wants_knock(NOW_S + 60)
    assert probing.changes_at_s is None


def test_one_that_refuses_is_knocked_at_again_after_a_pause() -> None:
    probing = Probing()
    probing.wants_knock(NOW_S)
    probing.knocked(accepted=False, is_probing=True, now_s=NOW_S)
    assert not probing.accepts
    assert probing.changes_at_s == NOW_S + KNOCK_PAUSE_S
    assert not probing.wants_knock(NOW_S + KNOCK_PAUSE_S - 0.001)
    assert probing.wants_knock(NOW_S + KNOCK_PAUSE_S)
    assert probing.changes_at_s is None


def test_one_that_accepts_is_not_knocked_at_again_until_the_breaker_changes() -> None:
    probing = Probing()
    probing.wants_knock(NOW_S)
    probing.knocked(accepted=True, is_probing=True, now_s=NOW_S)
    assert probing.accepts
    assert not probing.wants_knock(NOW_S)
    assert probing.changes_at_s is None
    probing.begin()
    assert not probing.accepts
    assert probing.wants_knock(NOW_S)


def test_an_answer_that_comes_while_nothing_is_probed_is_ignored_but_the_next_knock_is_free() -> None:
    probing = Probing()
    probing.wants_knock(NOW_S)
    probing.knocked(accepted=True, is_probing=False, now_s=NOW_S)
    assert not probing.accepts
    assert probing.wants_knock(NOW_S)


def test_a_change_of_the_breaker_ends_the_pause_between_knocks_and_takes_back_a_grant() -> None:
    probing = Probing()
    probing.wants_knock(NOW_S)
    probing.knocked(accepted=False, is_probing=True, now_s=NOW_S)
    probing.answered(granted=True, now_s=NOW_S)
    probing.begin()
    assert probing.wants_knock(NOW_S)
    assert not probing.take_grant()


def test_the_budget_is_asked_once_and_its_grant_used_once() -> None:
    probing = Probing()
    assert probing.wants_probe()
    assert not probing.wants_probe()
    assert not probing.take_grant()
    probing.answered(granted=True, now_s=NOW_S)
    assert probing.take_grant()
    assert not probing.take_grant()
    assert probing.wants_probe()


def test_a_refusal_of_the_budget_is_waited_out() -> None:
    probing = Probing()
    probing.wants_probe()
    probing.answered(granted=False, now_s=NOW_S)
    assert not probing.take_grant()
    assert probing.changes_at_s == NOW_S + PROBE_PAUSE_S
    probing.elapse(NOW_S + PROBE_PAUSE_S - 0.001)
    assert not probing.wants_probe()
    probing.elapse(NOW_S + PROBE_PAUSE_S)
    assert probing.changes_at_s is None
    assert probing.wants_probe()
    probing.elapse(NOW_S + 60)
    assert not probing.wants_probe()


def test_the_recovery_of_a_peer_grants_a_probe_and_ends_the_pause_between_knocks() -> None:
    probing = Probing()
    probing.wants_knock(NOW_S)
    probing.knocked(accepted=False, is_probing=True, now_s=NOW_S)
    probing.hurry()
    assert probing.take_grant()
    assert probing.wants_knock(NOW_S)


def test_the_earlier_pause_wakes_first() -> None:
    probing = Probing()
    probing.knocked(accepted=False, is_probing=True, now_s=NOW_S)
    probing.answered(granted=False, now_s=NOW_S)
    assert probing.changes_at_s == NOW_S + min(KNOCK_PAUSE_S, PROBE_PAUSE_S)
