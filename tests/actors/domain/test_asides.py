"""How many payments a processor is asked for at once, and how often where it does not answer."""

from uuid import UUID

from actors.domain.asides import LOOK_UPS_ASKED_MAX, SILENT_ASK_S, SILENT_ASKED_MAX, Asides
from actors.domain.lifecycle import Lifecycle
from tests.actors.fakes import payment


class Processor:
    """A processor for whose answer as many payments wait as anybody asks for."""

    def __init__(self) -> None:
        self.asides, self.now_s, self.is_silent = Asides(), 1000.0, False
        self.under_way: list[UUID] = []
        self.asked = 0

    def ask(self) -> int:
        """Ask for all that may be asked for now; tell how many."""
        before = self.asked
        while self.asides.may_ask(self.now_s, is_closed=False, is_silent=self.is_silent):
            life = Lifecycle(payment(self.asked))
            self.asides.asked(life, self.now_s)
            self.under_way.append(life.payment.correlation_id)
            self.asked += 1
        return self.asked - before

    def end(self, *, is_silent: bool) -> None:
        """End all that is under way."""
        ended, self.under_way, self.is_silent = self.under_way, [], is_silent
        for key in ended:
            self.asides.ended(key, is_silent=is_silent)


def test_one_that_refuses_is_asked_twice_a_second_however_many_wait() -> None:
    processor = Processor()
    for _ in range(240):
        processor.ask()
        processor.end(is_silent=True)
        processor.now_s += 0.25
    assert processor.asked == 60 / SILENT_ASK_S


def test_one_that_hangs_is_asked_until_a_few_look_ups_hang_and_not_beyond() -> None:
    processor = Processor()
    for _ in range(240):
        processor.ask()
        processor.now_s += 0.25
    assert processor.asked == SILENT_ASKED_MAX
    processor.end(is_silent=True)
    assert processor.ask() == 1


def test_one_that_answers_again_is_asked_for_twice_as_many_with_each_answer_up_to_a_bound() -> None:
    processor = Processor()
    processor.ask()
    processor.end(is_silent=True)
    processor.now_s += SILENT_ASK_S
    asked = []
    for _ in range(8):
        asked.append(processor.ask())
        processor.end(is_silent=False)
    assert asked[0] == 1
    assert asked[1] == 2
    assert asked == sorted(asked)
    assert asked[-1] == LOOK_UPS_ASKED_MAX


def test_one_whose_breaker_is_closed_is_asked_up_to_a_bound_whether_it_answers_or_not() -> None:
    asides = Asides()
    for number in range(LOOK_UPS_ASKED_MAX):
        assert asides.may_ask(1000.0, is_closed=True, is_silent=True)
        asides.asked(Lifecycle(payment(number)), 1000.0)
    assert not asides.may_ask(1000.0, is_closed=True, is_silent=False)


def test_one_that_was_never_asked_and_does_not_answer_others_is_asked_at_once() -> None:
    assert Asides().may_ask(1000.0, is_closed=False, is_silent=True)


def test_it_tells_when_a_silent_one_is_asked_for_the_next() -> None:
    processor = Processor()
    assert processor.asides.asks_at_s(processor.now_s) is None, "none waits"
    processor.ask()
    processor.end(is_silent=True)
    processor.asides.pinned.append(Lifecycle(payment(99)))
    assert processor.asides.asks_at_s(processor.now_s) == processor.now_s + SILENT_ASK_S


def test_a_payment_that_is_removed_waits_no_more_whichever_queue_it_was_in() -> None:
    asides = Asides()
    charged_again, asked, other = (Lifecycle(payment(number)) for number in range(3))
    asked.has_row, asked.unasked = True, ("default",)
    for each in (charged_again, asked, other):
        asides.add(each, first=False)
    assert (list(asides.pinned), list(asides.only_asked)) == ([charged_again, other], [asked])
    asides.remove(asked)
    asides.remove(charged_again)
    assert (list(asides.pinned), list(asides.only_asked)) == ([other], [])
    asides.add(charged_again, first=True)
    assert list(asides.pinned) == [charged_again, other]
    asides.add(asked, first=True)
    asides.clear()
    assert (list(asides.pinned), list(asides.only_asked)) == ([], [])


def test_time_alone_allows_one_more_look_up_where_payments_wait_and_not_too_many_hang() -> None:
    asides, waiting = Asides(), Lifecycle(payment(100))
    assert asides.asks_at_s(1000.0) is None
    for number in range(SILENT_ASKED_MAX - 1):
        asides.asked(Lifecycle(payment(number)), 1000.0)
    assert asides.asks_at_s(1000.0) is None
    asides.add(waiting, first=False)
    assert asides.asks_at_s(1000.0) == 1000.0 + SILENT_ASK_S
    assert asides.asks_at_s(1000.0 + SILENT_ASK_S) is None
    asides.asked(Lifecycle(payment(99)), 1000.0)
    assert asides.asks_at_s(1000.0) is None
