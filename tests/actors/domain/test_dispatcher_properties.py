"""Whatever happens in whatever order, nothing is charged twice, lost or counted wrongly, and all settles in the end."""

from collections import Counter
from dataclasses import dataclass, replace
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.domain.breaker import BreakerState
from actors.domain.dispatcher import DRIVEN_MAX, WANTED_MIN, WINDOW_MAX
from actors.domain.lifecycle import State
from actors.domain.lifecycle_events import ChargeEnded
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Closing, Move, Payment, Settlement
from actors.domain.records import LookUpResult
from actors.domain.work import Driven, Work
from tests.actors.domain.dispatching import HORIZON_S, NOW_MS, Dispatching, payment

NUMBERS = st.integers(1, 12)
FEW_NUMBERS = st.integers(1, 3)
NAMES = st.sampled_from(["default", "fallback"])
PROOFS = st.sampled_from([Outcome.NOT_SENT, Outcome.REFUSED, Outcome.OVERLOADED, Outcome.FAILED, Outcome.SETTLED])
NO_PROOFS = st.sampled_from([Outcome.DECLINED, Outcome.MISCONFIGURED, Outcome.UNKNOWN, Outcome.ALREADY_CHARGED])
BOOKED = st.sampled_from(["no", "now", "late"])
AT_PROCESSOR = {State.CLAIMING, State.MOVING, State.CHARGING}
OURS, THEIRS = "ours", "theirs"
Write = Claim | Move | Settlement | Closing


@dataclass
class Row:
    """A payment in Postgres."""

    payment: Payment
    owner: str
    processor: str | None
    moves: int = 0
    epoch: int = 0
    ended: str = ""
    """`settled` or `closed`."""
    before: "Row | None" = None
    """What it was before its last change, and what Postgres may be restored to."""

    def change(self, processor: str | None, moves: int, epoch: int) -> None:
        self.before = replace(self)
        self.processor, self.moves, self.epoch = processor, moves, epoch


class Booked:
    """What one processor has booked or will still book, by id; it books an id once."""

    def __init__(self) -> None:
        self.stamps_ms: dict[UUID, int] = {}
        self.late: dict[UUID, tuple[float, int]] = {}
        """When it is booked, and under which stamp."""
        self.otherwise: set[UUID] = set()
        """Ids that are booked with another amount."""
        self.declines: set[UUID] = set()
        """Ids that are declined for ever."""

    def book_late(self, now_s: float) -> None:
        for key, (at_s, stamp_ms) in list(self.late.items()):
            if at_s <= now_s:
                self.stamps_ms.setdefault(key, stamp_ms)
                del self.late[key]

    def may_hold(self, key: UUID) -> bool:
        return key in self.stamps_ms or key in self.late


class AnyOrder(RuleBasedStateMachine):
    """A dispatcher among a journal, Postgres and processors that do what they may in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.subject = Dispatching(outage_s=5.0, jitter=0.25)
        self.booked = {"default": Booked(), "fallback": Booked()}
        self.rows: dict[UUID, Row] = {}
        self.owed = WINDOW_MAX
        """Payments of the journal that were asked for and not given."""
        self.accepted: set[Payment] = set()
        self.epoch = 1
        self.adopted: set[UUID] = set()
        """Ids that are driven since their rows were adopted."""
        self.aside = False
        """Whether payments may be aside for other reasons than being pinned, or be written anew."""
        self.forgotten: set[UUID] = set()
        """Ids whose rows Postgres may have forgotten. Nobody else knows them, and no other amount is offered."""
        self.declined: set[tuple[str, UUID]] = set()
        """Who has declined which payment since the replica began."""
        self.writes: list[Write] = []
        """What the dispatcher wants to be written, in its order."""
        self.charges: list[tuple[str, Payment]] = []
        self.look_ups: list[tuple[str, Payment]] = []
        self.decided = True
        self.events = 0
        self.tell_all()

    # What may happen.

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=6), amount_minor=st.sampled_from([1990, 1990, 5]))
    def accept(self, numbers: list[int], amount_minor: int) -> None:
        self._accept([payment(number, amount_minor) for number in numbers])

    @rule(number=NUMBERS, times=st.integers(100, 900))
    def accept_often(self, number: int, times: int) -> None:
        self._accept([payment(number)] * times)

    @rule(
        number=NUMBERS,
        processor=st.one_of(st.none(), NAMES),
        may_be_booked=st.booleans(),
        amount_minor=st.sampled_from([1990, 5]),
    )
    def adopt(self, number: int, processor: str | None, *, may_be_booked: bool, amount_minor: int) -> None:
        row = Row(payment(number, amount_minor), OURS, processor, moves=int(processor is None), epoch=self.epoch)
        key = row.payment.correlation_id
        if key in self.rows or key in self.forgotten or any(key in each.otherwise for each in self.booked.values()):
            return
        self.rows[key] = row
        if may_be_booked and processor is not None:
            self.booked[processor].stamps_ms[key] = NOW_MS - 5
        self._adopted([row], NOW_MS - 5)

    @rule(number=FEW_NUMBERS)
    def accept_and_commit(self, number: int) -> None:
        self._accept([payment(number)])
        self._commit_all()

    @rule()
    def adopt_own_rows_again(self) -> None:
        self._adopted([row for row in self.rows.values() if row.owner == OURS and not row.ended], 0)

    @rule(number=NUMBERS, processor=NAMES)
    def book_with_another_amount(self, number: int, processor: str) -> None:
        key = UUID(int=number)
        if not self.booked[processor].may_hold(key):
            self.booked[processor].otherwise.add(key)

    @rule(number=NUMBERS, processor=NAMES)
    def decline_from_now_on(self, number: int, processor: str) -> None:
        self.aside = True
        self.booked[processor].declines.add(UUID(int=number))

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        """Let Postgres be restored: rows are what they were before, or gone."""
        self.tell_all()
        self.aside = True
        # What had a row here before another loss is not charged for others: they ask everywhere first.
        forgotten_before = frozenset(self.forgotten)
        self.forgotten |= {each.correlation_id for each in self.accepted}.union(self.rows)
        rivals = {each.correlation_id for each in self.accepted if each not in self._stored()}
        for key in sorted(rivals - self.rows.keys() - forgotten_before):
            if data.draw(st.booleans()):
                self._book_for_another_replica(key, data.draw(NAMES), data.draw(BOOKED))
        for key, row in list(self.rows.items()):
            if row.owner == OURS and not row.ended and key not in rivals and data.draw(st.booleans()):
                if row.before is None:
                    del self.rows[key]
                else:
                    self.rows[key] = row.before
        self.subject.dispatcher.store_changed(self.subject.now_s, self.subject.now_ms)
        self._happened()

    def _book_for_another_replica(self, key: UUID, processor: str, booked: str) -> None:
        """Let a payment have been charged for another replica, of whose row nothing is left."""
        offered = [each for each in self.accepted if each.correlation_id == key]
        is_held = any(key in each.otherwise or each.may_hold(key) for each in self.booked.values())
        if len(offered) == 1 and not is_held:
            self._book(self.booked[processor], offered[0], booked)

    @rule(most=st.integers(0, 10), booked=BOOKED)
    def restart(self, most: int, booked: str) -> None:
        """Let the replica die and start again, unless Postgres has just forgotten what it drives."""
        if self.forgotten:
            return
        self.tell_all()
        for write in self.writes[:most]:
            self._execute(write)
        for name, each in self.charges:
            self._book(self.booked[name], each, booked)
        self.writes, self.charges, self.look_ups, self.declined = [], [], [], set()
        before, self.subject = self.subject, Dispatching(outage_s=5.0, jitter=0.25)
        self.subject.now_s = before.now_s
        for view in self.subject.dispatcher.routes.views.values():
            view.up_since_s = before.now_s
        self.owed = WINDOW_MAX
        self.epoch += 1
        self._adopted([row for row in self.rows.values() if row.owner == OURS and not row.ended], NOW_MS - 5)
        replayed = [each for each in self.accepted if each.correlation_id not in self.rows]
        self._accept(replayed, replayed=True)
        self.tell_all()

    @rule(number=FEW_NUMBERS, processor=NAMES, amount_minor=st.sampled_from([1990, 5]))
    def another_replica_claims(self, number: int, processor: str, amount_minor: int) -> None:
        key = UUID(int=number)
        if key not in self.forgotten:
            self.rows.setdefault(key, Row(payment(number, amount_minor), THEIRS, processor, ended="settled"))

    @rule(number=FEW_NUMBERS)
    def another_replica_takes_the_row(self, number: int) -> None:
        driven = self._driven(UUID(int=number))
        row = self.rows.get(UUID(int=number))
        if driven is not None and driven.state is State.MOVING and row is not None and not self.forgotten:
            row.owner, row.ended, self.aside = THEIRS, "settled", True

    @rule(most=st.integers(1, 10))
    def commit(self, most: int) -> None:
        due, self.writes = self.writes[:most], self.writes[most:]
        for write in due:
            self._write(write)

    @rule(most=st.integers(1, 10))
    def commit_and_lose_the_answer(self, most: int) -> None:
        for write in self.writes[:most]:
            self._execute(write)

    @rule(ends=st.lists(st.tuples(st.integers(0, 100), NO_PROOFS, BOOKED), min_size=1, max_size=6))
    def end_charges_without_proof(self, ends: list[tuple[int, Outcome, str]]) -> None:
        self._end_charges(ends)

    @rule(ends=st.lists(st.tuples(st.integers(0, 100), PROOFS, BOOKED), min_size=1, max_size=6))
    def end_charges_with_proof(self, ends: list[tuple[int, Outcome, str]]) -> None:
        self._end_charges(ends)

    def _end_charges(self, ends: list[tuple[int, Outcome, str]]) -> None:
        self._commit_all()
        for index, outcome, booked in ends:
            if self.charges:
                self._end_charge(*self.charges.pop(index % len(self.charges)), outcome, booked)

    @rule(ends=st.lists(st.tuples(st.integers(0, 100), st.sampled_from([True, True, False])), min_size=1, max_size=6))
    def end_look_ups(self, ends: list[tuple[int, bool]]) -> None:
        for index, answered in ends:
            if self.look_ups:
                self._end_look_up(*self.look_ups.pop(index % len(self.look_ups)), answered=answered)

    @rule()
    def let_all_answer_a_horizon_later(self) -> None:
        self.advance(HORIZON_S)
        self._commit_all()
        while self.look_ups:
            self._end_look_up(*self.look_ups.pop(), answered=True)
        self.tell_all()
        self._commit_all()

    @rule(processor=NAMES, state=st.sampled_from(BreakerState), takes=st.integers(0, 4))
    def announce(self, processor: str, state: BreakerState, takes: int) -> None:
        open_states = {BreakerState.OPEN, BreakerState.FORCED_OPEN}
        self.subject.announce(processor, state, takes=0 if state in open_states else takes)
        self._happened()

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 6.0, HORIZON_S]))
    def advance(self, seconds: float) -> None:
        self.subject.now_s += seconds
        for booked in self.booked.values():
            booked.book_late(self.subject.now_s)
        self._happened()

    @rule()
    def tell_all(self) -> None:
        """Decide, and check all that is decided."""
        self._carry_out(self.subject.decide())
        self.decided = True

    # What holds always.

    @invariant()
    def what_is_given_is_what_takes_room(self) -> None:
        at = Counter(each.processor for each in self._all_driven() if each.state in AT_PROCESSOR)
        for name, view in self.subject.dispatcher.routes.views.items():
            # What is written anew takes no room.
            assert view.given <= at[name] if self.aside else view.given == at[name]

    @invariant()
    def whatever_is_driven_is_under_way_in_one_place(self) -> None:
        if not self.decided:
            return
        claims = Counter(each.payment for each in self.writes if isinstance(each, Claim))
        moves = Counter(each.correlation_id for each in self.writes if isinstance(each, Move))
        settlements = Counter(each.payment for each in self.writes if isinstance(each, Settlement))
        closings = Counter(each.payment for each in self.writes if isinstance(each, Closing))
        charges = Counter(each for _, each in self.charges)
        look_ups = Counter(each for _, each in self.look_ups)
        for driven in self._all_driven():
            key = driven.payment.correlation_id
            # A rival that was offered before the first payment settled may be offered once more as a new payment.
            assert (driven.state is State.CLAIMING) <= (claims[driven.payment] >= 1)
            assert moves[key] == (driven.state is State.MOVING)
            # A second settlement of a payment that was driven before may be among them.
            assert settlements[driven.payment] >= (driven.state is State.SETTLING)
            assert closings[driven.payment] == (driven.state is State.CLOSING)
            assert charges[driven.payment] == (driven.state is State.CHARGING)
            # One that was settled before may be asked for again.
            assert look_ups[driven.payment] >= (driven.state is State.LOOKING_UP)

    @invariant()
    def no_more_is_in_memory_than_may_be(self) -> None:
        assert self.owed >= 0
        assert len(self._all_driven()) + self.owed <= DRIVEN_MAX

    @invariant()
    def the_counts_are_those_of_what_is_driven(self) -> None:
        counts = {name: number for name, number in self.subject.dispatcher.counts().items() if number}
        assert counts == Counter(each.state.value for each in self._all_driven())

    @invariant()
    def what_is_pinned_is_counted_at_its_processor(self) -> None:
        pinned = sum(each.pinned for each in self._all_driven())
        assert sum(view.pinned for view in self.subject.dispatcher.routes.views.values()) == pinned

    def teardown(self) -> None:
        """Let everything work: all that was accepted is settled in the end, or closed."""
        for _ in range(60):
            for name in self.booked:
                self.subject.announce(name)
            self.advance(6.0)
            self.commit(len(self.writes))
            while self.charges:
                self._end_charge(*self.charges.pop(), Outcome.SETTLED, "now")
            while self.look_ups:
                self._end_look_up(*self.look_ups.pop(), answered=True)
            self.tell_all()
        assert self._all_driven() == []
        assert (self.writes, self.charges, self.look_ups) == ([], [], [])
        assert {each.correlation_id for each in self.accepted} <= set(self.rows)
        for key, row in self.rows.items():
            assert row.ended
            charged = sum(booked.may_hold(key) for booked in self.booked.values())
            assert charged == (row.owner == OURS and row.ended == "settled")
        views = self.subject.dispatcher.routes.views
        assert [view.given for view in views.values()] == [0, 0]

    # How it happens.

    def _happened(self) -> None:
        """Let some events be decided about together with the next."""
        self.events += 1
        self.decided = False
        if self.events % 3:
            self.tell_all()

    def _commit_all(self) -> None:
        due, self.writes = self.writes, []
        for write in due:
            self._write(write)
        self.tell_all()

    def _driven(self, key: UUID) -> Driven | None:
        return self.subject.dispatcher.describe(key)

    def _stored(self) -> set[Payment]:
        return {row.payment for row in self.rows.values()}

    def _all_driven(self) -> list[Driven]:
        every = (self._driven(UUID(int=number)) for number in range(1, 13))
        return [each for each in every if each is not None]

    def _accept(self, some: list[Payment], *, replayed: bool = False) -> None:
        some = [each for each in some if each in self.accepted or each.correlation_id not in self.forgotten][
            : self.owed
        ]
        self.owed -= len(some)
        self.accepted.update(some)
        ids = frozenset(each.correlation_id for each in some if replayed)
        self.subject.dispatcher.accepted(some, 0, self.subject.now_s, ids)
        self._happened()

    def _adopted(self, rows: list[Row], oldest_stamp_ms: int) -> None:
        claims = [Claim(row.payment, row.processor, moves=row.moves) for row in rows]
        for claim in claims:
            driven = self._driven(claim.payment.correlation_id)
            if driven is None or driven.payment != claim.payment:
                self.adopted.add(claim.payment.correlation_id)
        self.subject.dispatcher.adopted(claims, oldest_stamp_ms, self.subject.now_s)
        self._happened()

    def _carry_out(self, work: Work) -> None:
        for name, charged in work.charges.items():
            for each in charged:
                self._check_row(name, each)
                self._check_not_elsewhere(name, each.correlation_id)
                assert (name, each.correlation_id) not in self.declined
                self.charges.append((name, each))
        for name, looked_up in work.look_ups.items():
            self.look_ups += [(name, each) for each in looked_up]
        for move in work.moves:
            self._check_not_elsewhere(move.processor, move.correlation_id)
        for settlement in work.settlements:
            stamps_ms = self.booked[settlement.processor].stamps_ms
            assert stamps_ms[settlement.correlation_id] == settlement.requested_at_ms
        for key in work.recorded:
            assert key in self.rows or key in self.forgotten
        for mark in work.marks:
            driven = self._driven(mark.correlation_id)
            assert driven is not None
            assert driven.pinned == (mark.state is not None)
        self.writes += [*work.settlements, *work.closings, *work.moves, *work.claims]
        assert self.aside or work.wanted == self._worth_asking()
        self.owed += work.wanted

    def _worth_asking(self) -> int:
        driven = self._all_driven()
        self.adopted &= {each.payment.correlation_id for each in driven}
        free = sum(not each.pinned and each.payment.correlation_id not in self.adopted for each in driven)
        wanted = min(WINDOW_MAX - free, DRIVEN_MAX - len(driven)) - self.owed
        return wanted if wanted >= WANTED_MIN or (wanted > 0 and not self.owed) else 0

    def _check_row(self, name: str, each: Payment) -> None:
        row = self.rows[each.correlation_id]
        assert (row.payment, row.owner, row.processor) == (each, OURS, name)

    def _check_not_elsewhere(self, name: str | None, key: UUID) -> None:
        assert not any(booked.may_hold(key) for other, booked in self.booked.items() if other != name)

    def _execute(self, write: Write) -> bool:
        """Do what Postgres does; return whether the write took effect, now or when its answer was lost."""
        match write:
            case Claim():
                key = write.payment.correlation_id
                wanted = Row(write.payment, OURS, write.processor, write.moves, self.epoch)
                row = self.rows.setdefault(key, wanted)
                return replace(row, before=None) == wanted
            case Move():
                row_moved = self.rows.get(write.correlation_id)
                if row_moved is None or row_moved.owner != OURS or row_moved.moves > write.moves:
                    return False
                if row_moved.moves < write.moves:
                    row_moved.change(write.processor, write.moves, self.epoch)
                return row_moved.processor == write.processor
            case Settlement() | Closing():
                row = self.rows.setdefault(write.correlation_id, Row(write.payment, OURS, write.processor))
                assert row.owner == OURS
                assert row.payment == write.payment
                row.ended = "settled" if isinstance(write, Settlement) else "closed"
                return True

    def _write(self, write: Write) -> None:
        """Do what Postgres and persistence do."""
        dispatcher, now_s = self.subject.dispatcher, self.subject.now_s
        took_effect = self._execute(write)
        match write:
            case Claim():
                row = self.rows[write.payment.correlation_id]
                if took_effect:
                    dispatcher.claimed([write.payment.correlation_id], now_s)
                elif row.payment == write.payment and row.owner == OURS and not row.ended:
                    self._adopted([row], 0)
                else:
                    dispatcher.claims_rejected([write.payment], now_s)
            case Move() if took_effect:
                dispatcher.moved([write.correlation_id], now_s)
            case Move():
                dispatcher.moves_rejected([write.correlation_id], now_s)
            case Settlement():
                dispatcher.settled([write.correlation_id], now_s)
            case Closing():
                dispatcher.closed([write.correlation_id], now_s)
        self._happened()

    def _book(self, at: Booked, each: Payment, booked: str) -> None:
        key = each.correlation_id
        if key in at.otherwise or key in at.declines:
            return
        if booked == "now":
            at.stamps_ms.setdefault(key, self.subject.now_ms)
        elif booked == "late" and key not in at.stamps_ms:
            at.late.setdefault(key, (self.subject.now_s + HORIZON_S - 0.5, self.subject.now_ms))

    def _end_charge(self, name: str, each: Payment, outcome: Outcome, booked: str) -> None:
        key, at = each.correlation_id, self.booked[name]
        if outcome in {Outcome.SETTLED, Outcome.ALREADY_CHARGED, Outcome.DECLINED}:
            if key in at.stamps_ms or key in at.otherwise:
                outcome = Outcome.ALREADY_CHARGED
            elif key in at.declines:
                outcome = Outcome.DECLINED
            elif outcome is not Outcome.DECLINED:
                outcome = Outcome.SETTLED
                at.stamps_ms[key] = self.subject.now_ms
                at.late.pop(key, None)
        if outcome is Outcome.DECLINED:
            self.declined.add((name, key))
            self.aside = True
        if outcome in {Outcome.UNKNOWN, Outcome.DECLINED, Outcome.MISCONFIGURED}:
            self._book(at, each, booked)
        ended = ChargeEnded(key, outcome, self.subject.now_ms)
        self.subject.dispatcher.charges_ended([ended], self.subject.now_s)
        self._happened()

    def _end_look_up(self, name: str, each: Payment, *, answered: bool) -> None:
        key, at = each.correlation_id, self.booked[name]
        if not answered:
            result = LookUpResult.NO_ANSWER
        elif key in at.otherwise:
            result = LookUpResult.MISMATCHED
        else:
            result = LookUpResult.CHARGED if key in at.stamps_ms else LookUpResult.MISSING
        stamp_ms = at.stamps_ms.get(key) if result is LookUpResult.CHARGED else None
        self._carry_out(self.subject.told(key.int, result, stamp_ms, at=name))


AnyOrder.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
test_any_order = AnyOrder.TestCase
