import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import inf

import pytest

from actors.domain.level import Level
from gateway.server.admission import ClientAdmission, ClientLevels
from gateway.server.connection import Connection, Phase

CONNECTIONS_MAX = 3
UNFINISHED_BYTES_MAX = 100
UNTAKEN_BYTES_MAX = 200

Enter = Callable[[], Connection]


@pytest.fixture
def admission() -> ClientAdmission:
    return ClientAdmission(CONNECTIONS_MAX, UNFINISHED_BYTES_MAX, UNTAKEN_BYTES_MAX)


@pytest.fixture
def enter(admission: ClientAdmission) -> Iterator[Enter]:
    with ExitStack() as open_sockets:

        def enter_one() -> Connection:
            ours, theirs = socket.socketpair()
            open_sockets.enter_context(ours)
            open_sockets.enter_context(theirs)
            connection = Connection(ours, admission.hold, admission.leave_untaken)
            admission.enter(connection)
            return connection

        yield enter_one


def cut(connections: list[Connection]) -> list[bool]:
    return [each.is_cut for each in connections]


def test_one_more_than_allowed_cuts_the_one_that_has_been_idle_longest(
    admission: ClientAdmission, enter: Enter
) -> None:
    connections = [enter() for _ in range(3)]
    admission.rest(connections[0])
    connections.append(enter())
    assert cut(connections) == [False, True, False, False]


def test_half_a_request_counts_like_an_idle_connection(admission: ClientAdmission, enter: Enter) -> None:
    connections = [enter() for _ in range(3)]
    connections[0].phase = Phase.RECEIVING
    admission.hold(connections[0], 10)
    enter()
    enter()
    assert cut(connections) == [False, True, True]
    # More bytes of the same request make it no younger.
    admission.hold(connections[0], 1)
    enter()
    assert cut(connections) == [True, True, True]


@pytest.mark.parametrize("phase", [Phase.SENDING, Phase.CLOSING, Phase.RECEIVING])
def test_a_client_that_does_not_read_or_close_is_cut_like_an_idle_one(enter: Enter, phase: Phase) -> None:
    connections = [enter() for _ in range(3)]
    connections[0].phase = phase
    enter()
    assert cut(connections) == [True, False, False]


def test_nobody_is_cut_whose_request_the_application_has_and_the_first_to_be_answered_makes_room(
    admission: ClientAdmission, enter: Enter
) -> None:
    connections = [enter() for _ in range(3)]
    for each in connections:
        each.phase = Phase.ANSWERING
    newcomer = enter()
    admission.rest(newcomer)
    assert cut([*connections, newcomer]) == [False] * 4
    newcomer.phase = Phase.ANSWERING
    connections[1].is_served = True
    admission.rest(connections[1])
    assert cut([*connections, newcomer]) == [False, True, False, False]


def test_a_connection_that_has_left_makes_room(admission: ClientAdmission, enter: Enter) -> None:
    first, *others = [enter() for _ in range(3)]
    admission.leave(first)
    others.append(enter())
    assert cut(others) == [False] * 3


def test_one_that_was_cut_is_counted_off_once(admission: ClientAdmission, enter: Enter) -> None:
    connections = [enter() for _ in range(4)]
    admission.leave(connections[0])
    enter()
    assert cut(connections) == [True, True, False, False]


def test_the_largest_unfinished_request_is_cut_where_all_together_are_too_large(
    admission: ClientAdmission, enter: Enter
) -> None:
    connections = [enter() for _ in range(3)]
    for each, size in zip(connections, (30, 40, 30), strict=True):
        each.phase = Phase.RECEIVING
        admission.hold(each, size)
    assert cut(connections) == [False] * 3
    admission.hold(connections[0], 1)
    assert cut(connections) == [False, True, False]


def test_what_is_whole_or_gone_holds_no_bytes_any_more(admission: ClientAdmission, enter: Enter) -> None:
    connections = [enter() for _ in range(3)]
    for each in connections:
        each.phase = Phase.RECEIVING
    admission.hold(connections[0], 100)
    admission.finish(connections[0])
    admission.hold(connections[1], 100)
    admission.leave(connections[1])
    admission.hold(connections[2], 100)
    assert cut(connections) == [False] * 3


def test_the_largest_answer_that_is_not_taken_is_cut_where_all_together_are_too_large(
    admission: ClientAdmission, enter: Enter
) -> None:
    connections = [enter() for _ in range(3)]
    for each, size in zip(connections, (60, 80, 60), strict=True):
        each.phase = Phase.SENDING
        admission.leave_untaken(each, size)
    assert cut(connections) == [False] * 3
    admission.leave_untaken(connections[0], 61)
    assert cut(connections) == [False, True, False]
    # What was cut counts no more.
    admission.leave_untaken(connections[2], 139)
    assert cut(connections) == [False, True, False]


def test_what_is_taken_or_gone_is_no_longer_untaken(admission: ClientAdmission, enter: Enter) -> None:
    connections = [enter() for _ in range(3)]
    admission.leave_untaken(connections[0], 200)
    admission.leave_untaken(connections[0], 0)
    admission.leave_untaken(connections[1], 200)
    admission.leave(connections[1])
    admission.leave_untaken(connections[2], 200)
    assert cut(connections) == [False] * 3


def test_a_sweep_cuts_who_is_late(admission: ClientAdmission, enter: Enter) -> None:
    connections = [enter() for _ in range(3)]
    for each, deadline in zip(connections, (5.0, 15.0, inf), strict=True):
        each.deadline = deadline
    admission.sweep(10.0)
    assert cut(connections) == [True, False, False]


def test_only_idle_connections_end_at_a_stop(admission: ClientAdmission, enter: Enter) -> None:
    connections = [enter() for _ in range(3)]
    connections[0].phase = Phase.RECEIVING
    connections[1].phase = Phase.ANSWERING
    admission.end_idle()
    assert cut(connections) == [False, False, True]


def test_it_tells_how_much_clients_take_up(admission: ClientAdmission, enter: Enter) -> None:
    connections = [enter() for _ in range(2)]
    connections[0].phase = Phase.RECEIVING
    admission.hold(connections[0], 40)
    admission.leave_untaken(connections[0], 50)
    assert admission.levels() == ClientLevels(
        Level(2, CONNECTIONS_MAX), Level(40, UNFINISHED_BYTES_MAX), Level(50, UNTAKEN_BYTES_MAX)
    )
    admission.leave(connections[0])
    assert admission.levels() == ClientLevels(
        Level(1, CONNECTIONS_MAX), Level(0, UNFINISHED_BYTES_MAX), Level(0, UNTAKEN_BYTES_MAX)
    )
