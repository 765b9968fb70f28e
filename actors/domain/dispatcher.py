"""Decides what is done next with every payment that a replica drives: which processor, when, and how many.

Pure: messages and the time go in, `Work` comes out, and all of it has to be carried out.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from random import Random
from uuid import UUID

from actors.domain.asides import Asides
from actors.domain.held_payments import HeldPayments, HeldQueue
from actors.domain.histories import Histories, ReplicaHistory, waits_for
from actors.domain.level import Level
from actors.domain.lifecycle import ENDED, WRITING, Effect, Lifecycle, State
from actors.domain.lifecycle_events import (
    Adopted,
    ChargeEnded,
    Chosen,
    Claimed,
    ClaimRejected,
    Closed,
    DeclinedByAll,
    Event,
    LookUpChosen,
    LookUpEnded,
    Moved,
    MoveRejected,
    PauseEnded,
    PerhapsForgotten,
    Replayed,
    Resolved,
    RowDoubted,
    Settled,
    Unconfigured,
)
from actors.domain.payment import Claim, EndState, Payment
from actors.domain.processor_view import Availability
from actors.domain.rechecks import RECHECKS_MAX, Recheck, Rechecks
from actors.domain.records import FORGOTTEN_S, NEVER_MS, LookUpResult, Watermarks
from actors.domain.resolution import Finding, ResolutionAnswer
from actors.domain.retries import Pauses, RetryLimits
from actors.domain.routing import TAKEN_BY_NONE, Choice, Routes
from actors.domain.row_marks import RowMarks
from actors.domain.work import AdoptionRoom, Driven, Work

WINDOW_MAX = 1000
"""The most payments of the journal that are in memory at once; the others wait on the disk."""
ADOPTED_MAX = WINDOW_MAX
"""The most payments from rows that are in memory at once, without those set aside. Rows and the journal have a window
each, so that neither keeps the payments of the other from being charged."""
DRIVEN_MAX = 5 * WINDOW_MAX
"""The most payments in memory at once, including those that wait for a processor's answer and those that only some
processors take: up to this bound, they keep no others from being charged. Adopted ones leave a window for new ones."""
ASK_PAUSE_S_MAX = 0.5
"""The longest pause of one of the payments that are pinned to a processor, so that its return is noticed as early as by
a probe."""
WANTED_MIN = 100
"""The fewest new payments that the intake is asked for, unless it owes none from before."""


class Dispatcher:
    """Holds every payment that this replica drives. What it is told of other ids is ignored."""

    def __init__(self, routes: Routes, retries: RetryLimits, rng: Random, window_max: int = WINDOW_MAX) -> None:
        """`rng` draws the jitter of the pauses; `window_max` payments that are not aside may be in memory at once."""
        self.routes = routes
        self._names = tuple(routes.views)
        self._window_max = window_max
        self._lives: dict[UUID, Lifecycle] = {}
        self._aside = 0
        """How many payments are set aside until a processor answers, however long that takes."""
        self._adopted = 0
        """How many payments come from rows."""
        self.adopted_in_all = 0
        """How many payments were ever taken up from rows."""
        self._adopted_aside = 0
        """How many payments come from rows and are set aside."""
        self._ended_meanwhile: set[UUID] | None = None
        """Payments that have ended here since the current reading of rows began; None while no rows are read."""
        self._store_changed_at_s: float | None = None
        """When Postgres was last found to have perhaps forgotten something; None if never since the start."""
        self._store_changed_at_ms = 0
        """That instant by the wall clock."""
        self._asked = window_max
        """How many payments the intake was asked for and still owes; it begins by owing a whole window."""
        self._behind = 0
        """How many payments wait in the journal until they are asked for."""
        self._held = HeldPayments(routes.cheapest_first)
        """Payments that are free to go to any processor that takes them."""
        self._asides = {name: Asides() for name in routes.views}
        """Payments by the processor that they wait for: for its answer, or for room where they are pinned to it."""
        self._rivals: dict[UUID, list[tuple[Payment, bool]]] = {}
        """By id, the payments with another amount or currency than the one that is driven, until its row is decided.
        The flag tells whether the payment was replayed."""
        self._pauses = Pauses(retries, rng)
        self._rechecks = Rechecks()
        self._marks = RowMarks()
        self._histories = Histories()
        self._closing: list[Lifecycle] = []
        """Payments that end without a charge, until the next decision has that written."""
        self._work = Work()

    # What has happened.

    def accepted(
        self,
        payments: Iterable[Payment],
        behind: int,
        now_s: float,
        replayed: Collection[UUID] = frozenset(),
        *,
        have_rows: bool = False,
    ) -> None:
        """Take payments of the journal, in which `behind` more wait. `replayed` are ids of an earlier run or a peer.

        With `have_rows`, each payment has a row that this run of this replica has written, and that names no processor.
        """
        self._behind = behind
        for payment in payments:
            self._asked -= 1
            self._accept(payment, now_s, replayed=payment.correlation_id in replayed, has_row=have_rows)
        assert self._asked >= 0, "the intake gives no more than it was asked for"

    def adopted(self, claims: Iterable[Claim], oldest_stamp_ms: int, now_s: float) -> None:
        """Take rows. A processor that a row names may have charged the payment, under `oldest_stamp_ms` or later.

        Rows of payments that have ended here while rows were read are skipped: they are outdated.
        """
        ended = self._ended_meanwhile or ()
        for claim in claims:
            if claim.payment.correlation_id not in ended:
                self._adopt(claim, oldest_stamp_ms, now_s)

    def claimed(self, ids: Iterable[UUID], now_s: float) -> None:
        """Note rows that are committed and belong to this replica."""
        claimed = Claimed(self.routes.down())
        for key in ids:
            self._apply_to(key, claimed, now_s)
            self._accept_rivals(key, now_s)

    def claims_rejected(self, payments: Iterable[Payment], now_s: float) -> None:
        """Note payments whose ids have rows of other replicas, or with other amounts."""
        for payment in payments:
            life = self._lives.get(payment.correlation_id)
            if life is not None and life.payment == payment and not life.has_row:
                self._stop_holding(life)
                self._apply(life, ClaimRejected(), now_s)
                self._accept_rivals(payment.correlation_id, now_s)

    def moved(self, ids: Iterable[UUID], now_s: float) -> None:
        """Note changed rows. Payments whose rows name no processor now are held before all others, in order."""
        lives = [life for key in ids if (life := self._lives.get(key)) is not None]
        for life in lives:
            if life.processor is not None:
                self._apply(life, Moved(), now_s)
        unnamed = [life for life in lives if life.processor is None]
        unnamed.sort(key=lambda life: life.payment.accepted_at_ms)
        for life in reversed(unnamed):
            self._apply(life, Moved(), now_s)

    def moves_rejected(self, ids: Iterable[UUID], now_s: float) -> None:
        """Note rows that could not be changed: they belong to other replicas by now, or are lost."""
        for key in ids:
            self._apply_to(key, MoveRejected(self._names), now_s)

    def settled(self, ids: Iterable[UUID], now_s: float) -> None:
        """Note settlements that are committed."""
        for key in ids:
            self._apply_to(key, Settled(), now_s)

    def closed(self, ids: Iterable[UUID], now_s: float) -> None:
        """Note ends without a charge that are committed."""
        for key in ids:
            self._apply_to(key, Closed(), now_s)

    def store_changed(self, now_s: float, now_ms: int) -> None:
        """Note that Postgres may have forgotten what it had acknowledged: no row can be relied on any more.

        A payment that never had a row here, or is posted within `FORGOTTEN_S`, may have been charged before by another
        replica, without any record of it being left.
        """
        self._store_changed_at_s, self._store_changed_at_ms = now_s, now_ms
        self._held = HeldPayments(self.routes.cheapest_first)
        for asides in self._asides.values():
            asides.clear()
        for life in list(self._lives.values()):
            was_held = life.state is State.HELD
            has_row = life.has_row or life.row is not None
            asked = self._names if has_row else self.routes.may_have_charged(life.payment.currency)
            self._apply(life, RowDoubted(asked), now_s)
            if was_held and life.state is State.HELD:
                self._hold(life, now_s, first=False)

    def resolved(
        self,
        finding: Finding,
        reopened: Claim | None,
        ended: EndState | None,
        now_s: float,
        now_ms: int,
        number: int = 0,
    ) -> ResolutionAnswer | None:
        """Apply what an operator has found out, once for each `number`; None where the payment is not driven here.

        `reopened` is the row of a payment that had ended, as `ended`, and was taken up again to be resolved.
        """
        if reopened is not None:
            # Whatever has become of its row since: before it is charged, a move has to find the row.
            self._adopt(reopened, now_ms, now_s)
        life = self._lives.get(finding.correlation_id)
        if life is None:
            return None
        if number and life.resolution == number:
            return ResolutionAnswer.APPLIED
        if not (life.may_be_resolved if reopened is not None else life.is_stuck(now_s)):
            return ResolutionAnswer.MAY_SETTLE
        self._stop_holding(life)
        never_by = frozenset({life.row}) if ended is EndState.MISMATCHED and life.row is not None else frozenset[str]()
        self._apply(life, Resolved(finding.charged_by, finding.requested_at_ms, never_by), now_s)
        life.resolution = number
        return ResolutionAnswer.APPLIED

    def charges_ended(self, ends: Iterable[ChargeEnded], now_s: float) -> None:
        """Note attempts that are over. Payments that were not sent are held before all others, in their order."""
        not_sent: list[ChargeEnded] = []
        for end in ends:
            if end.outcome.was_sent:
                self._apply_to(end.correlation_id, end, now_s)
            else:
                not_sent.append(end)
        for end in reversed(not_sent):
            self._apply_to(end.correlation_id, end, now_s)

    def look_ups_ended(self, ends: Iterable[LookUpEnded], now_s: float) -> None:
        """Note what processors have answered to look-ups."""
        for end in ends:
            answered = end.result is not LookUpResult.NO_ANSWER
            view = self.routes.views[end.processor]
            view.looked_up(end.asked_at_s, answered=answered)
            self._asides[end.processor].ended(end.correlation_id, is_silent=view.unanswered)
            second = self._rechecks.answered(end, now_s)
            if second is not None:
                self._work.settlements.append(second)
            self._apply_to(end.correlation_id, end, now_s)

    def availability_changed(self, availability: Availability, now_s: float) -> None:
        """Note what a processor takes from now on."""
        name = availability.processor
        view = self.routes.views[name]
        was_closed = view.state.is_closed
        view.update(availability, now_s)
        if was_closed and not view.state.is_closed:
            # Their rows still name the processor, so that a replica which adopted them would wait for its return.
            for life in [each for each in self._lives.values() if each.state is State.PAUSING and each.row == name]:
                if not life.pinned:
                    self._end_pause(life.payment.correlation_id, now_s)

    # What is to be done.

    def decide(self, now_s: float, now_ms: int) -> Work:
        """Decide all that can be decided now, `now_ms` by the wall clock; the caller carries out the whole of it."""
        for key in self._pauses.ended(now_s):
            self._end_pause(key, now_s)
        self._recheck(now_s)
        self._release_asides(now_s)
        self._release_held(now_s)
        self._ask_for_more()
        self._work.closings = [life.closing(now_ms) for life in self._closing]
        self._closing = []
        self._work.marks = self._marks.take(now_s, now_ms)
        self._work.rechecks_dropped = self._rechecks.take_dropped(now_s)
        work, self._work = self._work, Work()
        return work

    def wakes_at_s(self, now_s: float) -> float | None:
        """Tell when time alone will change what is decided; None where it never does."""
        asks_s = (asides.asks_at_s(now_s) for asides in self._asides.values())
        nexts_s = (self._pauses.next_end_s, self._marks.next_s, self._rechecks.next_s, *asks_s)
        ends_s = [next_s for next_s in nexts_s if next_s is not None]
        if self._held:
            patience = (self.routes.patience_ends_s(name) for name in self.routes.views)
            ends_s += [end_s for both_s in patience for end_s in both_s if end_s > now_s]
        return min(ends_s, default=None)

    # Questions.

    def watermarks(self) -> Watermarks:
        """Tell the oldest stamp of a charge that is not committed, and the earliest answer to one."""
        stamp_ms = answer_ms = NEVER_MS
        for life in self._lives.values():
            if life.oldest_stamp_ms is not None and life.oldest_stamp_ms < stamp_ms:
                stamp_ms = life.oldest_stamp_ms
            if life.answered_since_ms is not None and life.answered_since_ms < answer_ms:
                answer_ms = life.answered_since_ms
        return Watermarks(stamp_ms, answer_ms)

    def driven_count(self) -> int:
        """Tell how many payments are driven."""
        return len(self._lives)

    def levels(self) -> tuple[Level, Level]:
        """Tell how many payments are in memory, and how many look-ups of ended ones are due or under way."""
        return Level(len(self._lives), DRIVEN_MAX), Level(len(self._rechecks), RECHECKS_MAX)

    def being_written(self) -> int:
        """Tell how many payments wait for Postgres."""
        return sum(life.state in WRITING for life in self._lives.values())

    def begin_adoption(self) -> AdoptionRoom:
        """Tell which rows there is room for, and note from now on what ends while they are read."""
        # What ended before is committed, so nobody reads its row any more.
        self._ended_meanwhile = set()
        return self.adoption_room()

    def end_adoption(self) -> None:
        """Note that all rows that were read have been passed to `adopted`."""
        self._ended_meanwhile = None

    def adoption_room(self) -> AdoptionRoom:
        """Tell how many more payments may be adopted: a window stays free for those of the journal.

        Payments that wait for one processor take no more than one share, so that a processor that is away keeps no
        others out. All processors that are not configured have one share together.
        """
        free = ADOPTED_MAX - (self._adopted - self._adopted_aside)
        beside_window = DRIVEN_MAX - self._window_max - self._adopted - (self._aside - self._adopted_aside)
        count = max(0, min(free, beside_window, DRIVEN_MAX - len(self._lives) - self._asked))
        if not self._aside:
            return AdoptionRoom(count)
        share = (DRIVEN_MAX - self._window_max - ADOPTED_MAX) // (len(self._names) + 1)
        waiting = Counter(life.row for life in self._lives.values() if life.row is not None and life.is_aside)
        unconfigured = sum(each for name, each in waiting.items() if name not in self._asides)
        full = (name for name, each in waiting.items() if (each if name in self._asides else unconfigured) >= share)
        return AdoptionRoom(count, frozenset(full))

    def counts(self) -> Mapping[str, int]:
        """Count the payments by what they wait for, those in the journal included."""
        states = Counter(life.state for life in self._lives.values())
        return {"journalled": self._behind} | {state.value: states[state] for state in State if state not in ENDED}

    def unknown_for(self, duration_s: float, now_s: float) -> int:
        """Count the payments whose outcome has been unknown for longer than this."""
        since_s = (life.pinned_since_s for life in self._lives.values())
        return sum(each is not None and each < now_s - duration_s for each in since_s)

    def describe(self, correlation_id: UUID) -> Driven | None:
        """Tell how far a payment is; None where it is not driven here."""
        life = self._lives.get(correlation_id)
        if life is None:
            return None
        return Driven(life.payment, life.state, life.processor, life.attempts, life.pinned)

    def history(self, correlation_id: UUID) -> ReplicaHistory:
        """Tell the steps of a payment here, as far as they are remembered, and what it waits for."""
        life = self._lives.get(correlation_id)
        waiting = None if life is None else waits_for(life, self._held.waits_because(life))
        return ReplicaHistory(self._histories.steps(correlation_id, life), waiting)

    # How it is decided.

    def _adopt(self, claim: Claim, oldest_stamp_ms: int, now_s: float) -> None:
        key = claim.payment.correlation_id
        life = self._lives.get(key)
        if life is not None and not life.has_row:
            self._stop_holding(life)
            if life.payment.money != claim.payment.money:
                # The row came first. Postgres compares the amounts, and the other one is reported.
                if life.state is State.HELD:
                    self._rivals.setdefault(key, []).append((life.payment, bool(life.unasked)))
                self._apply(life, ClaimRejected(), now_s)
            elif life.state is State.HELD:
                # It came from the journal before its row was known, and need not be claimed any more.
                self._work.recorded.append(key)
        life = self._lives.get(key)
        if life is None:
            self._lives[key] = life = Lifecycle(claim.payment, is_adopted=True)
            self._adopted += 1
            self.adopted_in_all += 1
        if self._store_changed_at_s is not None:
            self._apply(life, Replayed(self._names, must_answer=True), now_s)
        self._apply(life, Adopted(claim.processor, claim.attempts, claim.moves, oldest_stamp_ms), now_s)
        self._accept_rivals(key, now_s)

    def _accept(self, payment: Payment, now_s: float, *, replayed: bool, has_row: bool = False) -> None:
        key = payment.correlation_id
        life = self._lives.get(key)
        changed_at_s = self._store_changed_at_s
        if life is None:
            # Postgres may have forgotten the row: a new claim finds out.
            self._lives[key] = life = Lifecycle(payment, has_row=has_row and changed_at_s is None)
            self._held.add(life)
            if changed_at_s is not None and self._may_be_forgotten(payment, changed_at_s, now_s):
                asked = self.routes.may_have_charged(payment.money.currency)
                self._apply(life, PerhapsForgotten(asked, changed_at_s), now_s)
        elif life.payment.money != payment.money:
            if life.has_row:
                # Postgres finds the row, compares the amounts, and the other one is reported.
                self._work.claims.append(Claim(payment, life.row))
            else:
                self._rivals.setdefault(key, []).append((payment, replayed))
            return
        elif life.has_row:
            self._work.recorded.append(key)
        if replayed:
            self._apply(life, Replayed(self._names, must_answer=changed_at_s is not None), now_s)

    def _may_be_forgotten(self, payment: Payment, changed_at_s: float, now_s: float) -> bool:
        """Tell whether a payment was posted within `FORGOTTEN_S` of the change, however long it was in the journal."""
        posted_after_s = (payment.accepted_at_ms - self._store_changed_at_ms) / 1000
        # The wall clock may have stepped.
        return min(posted_after_s, now_s - changed_at_s) < FORGOTTEN_S

    def _accept_rivals(self, key: UUID, now_s: float) -> None:
        """Accept the rivals of a payment again; those that still have to wait for its row become rivals again."""
        for rival, replayed in self._rivals.pop(key, ()):
            self._accept(rival, now_s, replayed=replayed)

    def _apply_to(self, key: UUID, event: Event, now_s: float) -> None:
        life = self._lives.get(key)
        if life is not None:
            self._apply(life, event, now_s)

    def _apply(self, life: Lifecycle, event: Event, now_s: float) -> None:
        """Apply an event to a payment, and keep all counts of payments in step: nothing else changes them."""
        room_before, aside_before, pinned_before = life.taking_room_at, life.is_aside, life.pinned_at
        effect = life.transition(event, now_s)
        self._histories.note(life, event, effect, now_s)
        room_after = life.taking_room_at
        if room_before != room_after:
            if room_before is not None:
                self.routes.views[room_before].given -= 1
            if room_after is not None:
                self.routes.views[room_after].given += 1
        if life.is_aside != aside_before:
            self._count_aside(life, -1 if aside_before else 1)
        pinned_after = life.pinned_at
        if pinned_before != pinned_after:
            assert pinned_before is None or pinned_after is None, "a payment that may have been charged never moves"
            self._count_pinned(pinned_before or pinned_after, -1 if pinned_before else 1)
            (self._marks.freed if pinned_before else self._marks.pinned)(life, now_s)
        self._order(life, effect, now_s)

    def _order(self, life: Lifecycle, effect: Effect, now_s: float) -> None:  # noqa: C901  # one line for each effect
        work, payment = self._work, life.payment
        match effect:
            case Effect.CLAIM:
                work.claims.append(life.claim())
            case Effect.CHARGE:
                assert life.row is not None
                assert life.row == life.processor, "nothing is sent without a committed row that names the processor"
                work.charges.setdefault(life.row, []).append(payment)
            case Effect.SETTLE:
                work.settlements.append(life.settlement())
            case Effect.FORGET:
                self._forget(life, now_s)
            case Effect.HOLD | Effect.HOLD_FIRST:
                self._hold(life, now_s, first=effect is Effect.HOLD_FIRST)
            case Effect.MOVE:
                work.moves.append(life.move())
            case Effect.LOOK_UP:
                assert life.asked is not None
                work.look_ups.setdefault(life.asked, []).append(payment)
            case Effect.PAUSE:
                self._pause(life, now_s)
            case Effect.CLOSE:
                self._closing.append(life)
            case Effect.NONE:
                pass

    def _count_aside(self, life: Lifecycle, more: int) -> None:
        self._aside += more
        self._adopted_aside += more if life.is_adopted else 0

    def _forget(self, life: Lifecycle, now_s: float) -> None:
        if life.is_aside:
            self._count_aside(life, -1)
        self._adopted -= life.is_adopted
        key = life.payment.correlation_id
        del self._lives[key]
        self._histories.ended(life)
        if self._ended_meanwhile is not None and life.state is not State.RELEASED:
            self._ended_meanwhile.add(key)
        if life.pinned_at is not None:
            self._count_pinned(life.pinned_at, -1)
        self._marks.forgotten(key)
        if life.left and life.state is not State.RELEASED:
            charged_by = life.processor if life.state is State.SETTLED else None
            for name, horizon_s in life.left:
                if name != charged_by and name in self.routes.views:
                    self._rechecks.add(Recheck(life.payment, name, life.attempts, horizon_s), now_s)

    def _count_pinned(self, processor: str | None, more: int) -> None:
        view = self.routes.views.get(processor) if processor is not None else None
        if view is not None:
            view.count_pinned(more)

    def _pause(self, life: Lifecycle, now_s: float) -> None:
        """Let a payment pause. Of the payments that are pinned to one processor, one never pauses for long."""
        key, failures = life.payment.correlation_id, life.failures_in_row
        view = self.routes.views.get(life.pinned_at) if life.pinned_at is not None else None
        if view is not None and now_s >= view.asked_again_at_s:
            view.asked_again_at_s = self._pauses.begin(key, failures, now_s, ASK_PAUSE_S_MAX)
        else:
            self._pauses.begin(key, failures, now_s)

    def _hold(self, life: Lifecycle, now_s: float, *, first: bool) -> None:
        if life.must_be_looked_up and not life.is_aside:
            self._apply(life, LookUpChosen(), now_s)
        elif life.must_be_looked_up and life.to_ask in self._asides:
            self._asides[life.to_ask].add(life, first=False)
        elif life.row is not None and life.row not in self._asides:
            # Its row names a processor that is not configured: it may have been charged there, and nobody can ask.
            self._apply(life, Unconfigured(), now_s)
            self._marks.stranded(life, now_s)
        elif life.pinned:
            assert life.row is not None
            self._asides[life.row].add(life, first=first)
        elif life.declined_by and self._is_declined_by_all(life):
            self._apply(life, DeclinedByAll(), now_s)
        else:
            self._held.add(life, first=first)

    def _is_declined_by_all(self, life: Lifecycle) -> bool:
        takes = self.routes.takes
        return not self._held.takers(life) and any(takes(name, life.payment.currency) for name in life.declined_by)

    def _end_pause(self, key: UUID, now_s: float) -> None:
        life = self._lives.get(key)
        if life is not None:
            name = life.processor
            in_outage = name in self.routes.views and self.routes.is_waited_for(name, now_s)
            self._apply(life, PauseEnded(in_outage), now_s)

    def _recheck(self, now_s: float) -> None:
        """Look up payments that have ended once more, in any state of the breaker: it may never close by itself."""
        for recheck in self._rechecks.due(now_s):
            self._rechecks.asked(recheck)
            self._work.look_ups.setdefault(recheck.processor, []).append(recheck.payment)

    def _release_asides(self, now_s: float) -> None:
        """Look up the payments that wait for an answer, or charge them again, as far as their processor has room."""
        for name, asides in self._asides.items():
            view = self.routes.views[name]
            while asides.only_asked and self._may_ask(name, now_s):
                self._ask(asides, asides.only_asked.popleft(), now_s)
            while asides.pinned and (view.takes_pinned or not view.state.is_closed):
                life = asides.pinned[0]
                # It is not used as a probe while look-ups may free it: failing probes would put that off for ever.
                takes = view.state.is_closed or (view.turns_away and view.takes_pinned)
                may_be_charged = takes and self.routes.takes(name, life.payment.currency)
                if may_be_charged and not self._is_spent_here(life, name, now_s):
                    self._apply(asides.pinned.popleft(), Chosen(name), now_s)
                elif self._may_ask(name, now_s):
                    self._ask(asides, asides.pinned.popleft(), now_s)
                else:
                    break

    def _may_ask(self, name: str, now_s: float) -> bool:
        view = self.routes.views[name]
        return self._asides[name].may_ask(now_s, is_closed=view.state.is_closed, is_silent=view.unanswered)

    def _ask(self, asides: Asides, life: Lifecycle, now_s: float) -> None:
        asides.asked(life, now_s)
        self._apply(life, LookUpChosen(), now_s)

    def _is_spent_here(self, life: Lifecycle, name: str, now_s: float) -> bool:
        """Tell whether a pinned payment has used up its tries there and another processor works: then look it up."""
        views = self.routes.views
        if not (views[name].state.is_closed and self.routes.is_spent(name, life.failures_here, now_s)):
            return False
        return any(each.name != name and views[each.name].state.is_closed for each in self._held.takers(life))

    def _release_held(self, now_s: float) -> None:
        """Give held payments to the processors that take them, in the order of their arrival."""
        self._held.release(lambda queue: self._release_head(queue, now_s))

    def _release_head(self, queue: HeldQueue, now_s: float) -> bool:
        choice = self._choose(queue, now_s)
        choices, is_for_all = self._work.choices, queue.takers == self.routes.cheapest_first
        if is_for_all and (not choices or choices[-1] != choice):
            choices.append(choice)
        if choice.processor is None:
            queue.waits_because = choice.reason
            self.routes.decisions[None, choice.reason] += queue.count_waiting()
            if queue.named and choice.reason in TAKEN_BY_NONE:
                self._unname(queue, now_s)
            return False
        life = queue.take()
        if life.unchecked and life.row != choice.processor:
            self._apply(life, LookUpChosen(), now_s)
        else:
            self.routes.decisions[choice.processor, choice.reason] += 1
            self._apply(life, Chosen(choice.processor), now_s)
        return True

    def _unname(self, queue: HeldQueue, now_s: float) -> None:
        """Let rows name no processor while none takes their payments: whoever adopts them is then free to choose."""
        for life in queue.take_named():
            self._apply(life, LookUpChosen() if life.unchecked else Chosen(None), now_s)

    def _choose(self, queue: HeldQueue, now_s: float) -> Choice:
        life, spent = queue.lives[0], None
        if life.processor is not None and self.routes.is_spent(life.processor, life.failures_here, now_s):
            spent = life.processor
        waiting = len(queue.lives) - 1 + self._behind
        return self.routes.choose(queue.takers, waiting=waiting, spent=spent, now_s=now_s)

    def _stop_holding(self, life: Lifecycle) -> None:
        """Take a payment, whose state is about to change, out of the queue that it is in, if it is in one."""
        if life.state is not State.HELD:
            return
        if life.pinned or life.must_be_looked_up:
            assert life.to_ask is not None
            self._asides[life.to_ask].remove(life)
        else:
            self._held.remove(life)

    def _ask_for_more(self) -> None:
        """Ask for as many payments of the journal as there is room for."""
        expected = len(self._lives) + self._asked
        # Payments that are set aside, that only some processors take, or that come from rows must not keep those of the
        # journal from being charged.
        beside = self._adopted + self._aside - self._adopted_aside + self._held.restricted
        wanted = min(self._window_max - (expected - beside), DRIVEN_MAX - expected)
        if wanted >= WANTED_MIN or (wanted > 0 and not self._asked):
            self._asked += wanted
            self._work.wanted = wanted
