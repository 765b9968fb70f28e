"""The format on disk stays as it is, byte for byte, and no bytes make its reader fail."""

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.adapters.journal.segment import (
    FORMAT,
    HEADER,
    RECORD_BYTES,
    decode_records,
    decode_segment,
    encode_header,
    encode_record,
    is_newer,
)
from actors.domain.money import DECIMALS
from actors.domain.payment import Payment
from tests.actors.adapters.journal.journals import GENERATION, NEWER_SEGMENT, segment, some

any_payment = st.builds(
    Payment, st.uuids(), st.integers(1, 10**16), st.integers(0, 2**63 - 1), st.sampled_from(list(DECIMALS))
)


def generation_of(data: bytes) -> int:
    return int.from_bytes(data[len(FORMAT) + 1 : len(FORMAT) + 9], "little")


VERSION_1 = bytes.fromhex(
    "4649454c4a4e4c3105000000000000003659b66402b574f600000000000000000123456789abcdefc60700000000000000dc207497010000"
)
"""A segment of the release before payments had a currency, with one payment."""


def test_version_1_is_read_as_it_ever_was_and_its_payments_are_in_reais() -> None:
    content = decode_segment(VERSION_1)
    assert content is not None
    assert (content.version, content.generation, content.damaged_bytes) == (1, 5, 0)
    assert content.payments == (Payment(UUID(int=0x0123456789ABCDEF), 1990, 1_750_000_000_000, "BRL"),)
    assert not is_newer(VERSION_1)


def test_version_2_is_written_byte_for_byte_as_ever() -> None:
    written = encode_header(5) + encode_record(Payment(UUID(int=0x0123456789ABCDEF), 1990, 1_750_000_000_000, "JPY"))
    assert written.hex() == (
        "4649454c4a4e4c320500000000000000f3653b5d405e1ee700000000000000000123456789abcdefc60700000000000000dc2074970100004a5059"
    )


@settings(deadline=None)
@given(st.lists(any_payment, max_size=5))
def test_payments_survive_the_way_to_bytes_and_back(payments: list[Payment]) -> None:
    content = decode_segment(segment(payments))
    assert content is not None
    assert (content.version, content.generation, content.payments) == (2, GENERATION, tuple(payments))
    assert (content.size_bytes, content.damaged_bytes) == (HEADER.size + RECORD_BYTES * len(payments), 0)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda rest: encode_header(1) + rest)))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    content = decode_segment(data)
    assert (content is not None) == (len(data) >= HEADER.size and data.startswith(encode_header(generation_of(data))))


@settings(deadline=None)
@given(st.lists(any_payment, max_size=5), st.integers(0, 5), st.integers(0, 5))
def test_records_can_be_read_from_any_of_them_on(payments: list[Payment], first: int, count: int) -> None:
    data = b"".join(map(encode_record, payments))[first * RECORD_BYTES :][: count * RECORD_BYTES]
    assert decode_records(data, version=2) == payments[first:][:count]


def test_only_a_later_version_is_newer() -> None:
    assert is_newer(NEWER_SEGMENT)
    assert not is_newer(segment(some(1)))
    assert not any(is_newer(data) for data in (b"", FORMAT, FORMAT + b"0", FORMAT + b"q", b"SOMETHING ELSE"))
