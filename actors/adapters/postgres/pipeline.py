"""Sends several statements to Postgres in one piece, and reads their results after that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Wait

from actors.adapters.postgres.queries import QUERIES, number_parameters

Value: TypeAlias = str | int | Sequence[UUID]


@dataclass(frozen=True, slots=True)
class PipelineStep:
    """One statement with the values of its parameters."""

    name: bytes
    """The name under which it is prepared."""
    sql: bytes
    values: list[bytes] = field(default_factory=list)


BEGIN, COMMIT = PipelineStep(b"begin", b"BEGIN"), PipelineStep(b"commit", b"COMMIT")
_prepared: WeakKeyDictionary[psycopg.Connection[Any], set[bytes]] = WeakKeyDictionary()
"""Names of the statements that each connection has prepared."""
_NUMBERED = {name: number_parameters(statement) for name, statement in QUERIES.items()}


def make_step(query: str, parameters: Mapping[str, Value]) -> PipelineStep:
    """Take a statement of `QUERIES`, with the parameters that it names."""
    sql, names = _NUMBERED[query]
    return PipelineStep(query.encode(), sql, [_encode(parameters[name]) for name in names])


def _encode(value: Value) -> bytes:
    if isinstance(value, (str, int)):
        return str(value).encode()
    return b"{%b}" % ",".join(map(str, value)).encode()


def transact(connection: psycopg.Connection[Any], steps: Sequence[PipelineStep]) -> list[PGresult]:
    """Run statements as one transaction that goes to the server at once, and give the result of each.

    Where a transaction was begun before, they are part of it.

    None of them can rely on the result of another; each sees what was committed before it began. psycopg's own
    pipelines write to the socket, and wait for it, once for each statement.

    Raises:
        psycopg.Error: one of them failed, and none had an effect. The connection has to be closed.
    """
    prepared = None if connection.prepare_threshold is None else _prepared.setdefault(connection, set())
    if connection.info.transaction_status is TransactionStatus.INTRANS:
        return connection.wait(_run(connection.pgconn, steps, prepared))
    return connection.wait(_run(connection.pgconn, [BEGIN, *steps, COMMIT], prepared))[1:-1]


def _run(pgconn: PGconn, steps: Sequence[PipelineStep], prepared: set[bytes] | None) -> PQGen[list[PGresult]]:
    """Send statements, and give the result of each; a generator as psycopg's own, which waits for the connection.

    `prepared` has the names of the statements that this connection has prepared, and new ones are added; None prepares
    nothing. The server skips all statements behind one that fails.
    """
    pgconn.enter_pipeline_mode()
    is_answer = _send(pgconn, steps, prepared)
    while pgconn.flush():
        # The server may have to be read from before it goes on reading.
        yield Wait.RW
        pgconn.consume_input()
    results: list[PGresult] = []
    while (result := (yield from _next_result(pgconn))).status != ExecStatus.PIPELINE_SYNC:
        results.append(result)
    pgconn.exit_pipeline_mode()
    for result in results:
        if result.status not in {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}:
            raise _error(result)
    if prepared is not None:
        prepared.update(step.name for step in steps)
    return [result for result, is_one in zip(results, is_answer, strict=True) if is_one]


def _send(pgconn: PGconn, steps: Sequence[PipelineStep], prepared: set[bytes] | None) -> list[bool]:
    """Hand statements to libpq; tell for each result that will come whether it is a statement's own."""
    is_answer = []
    for step in steps:
        if prepared is None:
            pgconn.send_query_params(step.sql, step.values)
        else:
            if step.name not in prepared:
                pgconn.send_prepare(step.name, step.sql)
                is_answer.append(False)
            pgconn.send_query_prepared(step.name, step.values)
        is_answer.append(True)
    pgconn.pipeline_sync()
    return is_answer


def _next_result(pgconn: PGconn) -> PQGen[PGresult]:
    while True:
        while pgconn.is_busy():
            yield Wait.R
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is not None:
            return result
        # A statement has no further results.
        if pgconn.status == ConnStatus.BAD:
            raise psycopg.OperationalError("the connection is lost")


def _error(result: PGresult) -> psycopg.Error:
    state = result.error_field(DiagnosticField.SQLSTATE) or b"XX000"
    try:
        kind: type[psycopg.Error] = psycopg.errors.lookup(state.decode())
    except KeyError:
        kind = psycopg.DatabaseError
    return kind(result.get_error_message())


def column(result: PGresult) -> list[str]:
    """Give the first column of a result, as text."""
    return [(result.get_value(row, 0) or b"").decode() for row in range(result.ntuples)]
