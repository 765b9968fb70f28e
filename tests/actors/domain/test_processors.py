"""The operator's list of processors is read whole, or refused with the item that is wrong."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.money import DECIMALS
from actors.domain.processors import (
    ALL_CURRENCIES,
    EVENT_NAMES,
    EVENT_PROCESSORS,
    PostedCurrencies,
    Processor,
    parse_processors,
    posted_currencies,
)
from actors.errors import SettingsError


def test_name_address_and_fee_are_read_in_their_order() -> None:
    assert parse_processors("default=http://processor-default:8080,0.05 fallback=http://10.0.0.2:8080,0.15") == (
        Processor("default", "http://processor-default:8080", Decimal("0.05")),
        Processor("fallback", "http://10.0.0.2:8080", Decimal("0.15")),
    )


def test_the_events_processors_and_all_currencies_are_what_is_used_where_nothing_is_set() -> None:
    text = "default=http://payment-processor-default:8080,0.05 fallback=http://payment-processor-fallback:8080,0.15"
    assert parse_processors(text) == EVENT_PROCESSORS
    assert tuple(each.name for each in EVENT_PROCESSORS) == EVENT_NAMES
    assert posted_currencies("BRL", EVENT_PROCESSORS) == ALL_CURRENCIES


def test_any_number_and_any_white_space_will_do() -> None:
    text = "\n".join(f"p{number}=http://h:{number},0.{number}\t" for number in range(1, 10))
    assert [processor.name for processor in parse_processors(text)] == [f"p{number}" for number in range(1, 10)]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("a=http://h:1/,0.05", Processor("a", "http://h:1", Decimal("0.05"))),
        ("a=http://h,0", Processor("a", "http://h", Decimal(0))),
        ("a=http://boX,0", Processor("a", "http://boX", Decimal(0))),
        ("a=http://[::1]:8001,0.999", Processor("a", "http://[::1]:8001", Decimal("0.999"))),
        ("third_1=http://h:65535,5e-2", Processor("third_1", "http://h:65535", Decimal("0.05"))),
        ("a=http://h:1/,0,brl", Processor("a", "http://h:1", Decimal(0), frozenset({"BRL"}))),
        ("a=http://h:1/,0,lookup", Processor("a", "http://h:1", Decimal(0), frozenset())),
        ("a=http://boX/,0,brl", Processor("a", "http://boX", Decimal(0), frozenset({"BRL"}))),
        ("a=http://boX/,0,lookup", Processor("a", "http://boX", Decimal(0), frozenset())),
    ],
)
def test_one_is_read(item: str, expected: Processor) -> None:
    assert parse_processors(item) == (expected,)


def test_a_processor_takes_every_currency_unless_some_are_named() -> None:
    first, second = parse_processors("a=http://h:1,0.05 b=http://h:2,0.15,BRL|usd")
    assert first.currencies == frozenset(DECIMALS)
    assert second.currencies == {"BRL", "USD"}


def test_a_processor_that_was_taken_out_is_named_for_look_ups_alone() -> None:
    first, second = parse_processors("a=http://h:1,0.05 b=http://h:2,0.15,lookup")
    assert (first.charges, second.charges) == (True, False)
    assert second == Processor("b", "http://h:2", Decimal("0.15"), frozenset())


def test_where_all_are_only_asked_none_takes_the_default_currency() -> None:
    with pytest.raises(SettingsError, match="CURRENCY"):
        posted_currencies("BRL", parse_processors("a=http://h:1,0.05,lookup"))


@pytest.mark.parametrize(
    "codes",
    [
        "Lookup",
        "lookup,BRL",
        "BRL|lookup",
        "lookup|",
        "",
        "BRL|",
        "ABC",
        "BRL,USD",
        "BRL|XAU",
        "BRL=USD",
        "BRL USD".replace(" ", ";"),
    ],
)
def test_a_currency_that_is_none_is_refused_with_its_item(codes: str) -> None:
    with pytest.raises(SettingsError, match=r"PROCESSORS: 'a=http://h:1,0\.05,.*ISO 4217"):
        parse_processors(f"a=http://h:1,0.05,{codes}")


def test_clients_may_pay_in_what_any_processor_takes() -> None:
    processors = parse_processors("a=http://h:1,0.05,BRL|USD b=http://h:2,0.15,JPY")
    assert posted_currencies("usd", processors) == PostedCurrencies("USD", frozenset({"BRL", "USD", "JPY"}))


@pytest.mark.parametrize("default", ["KWD", "ABC", ""])
def test_a_default_currency_that_no_processor_takes_is_refused(default: str) -> None:
    with pytest.raises(SettingsError, match="CURRENCY"):
        posted_currencies(default, parse_processors("a=http://h:1,0.05,BRL|USD"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n ",
        "default",
        "default=",
        "default=http://h:1",
        "default=,0.05",
        "=http://h:1,0.05",
        "http://h:1,0.05",
        "a b=http://h:1,0.05",
        "1a=http://h:1,0.05",
        "a=h:1,0.05",
        "a=//h:1,0.05",
        "a=ftp://h:1,0.05",
        "a=https://h:1,0.05",
        "a=http://,0.05",
        "a=http://:1,0.05",
        "a=http://h:0,0.05",
        "a=http://h:65536,0.05",
        "a=http://h:-1,0.05",
        "a=http://h:port,0.05",
        "a=http://[::1,0.05",
        "a=http://h:1/payments,0.05",
        "a=http://h:1?token=1,0.05",
        "a=http://h:1#part,0.05",
        "a=http://user:password@h:1,0.05",
        "a=http://h:1,",
        "a=http://h:1,five",
        "a=http://h:1,5%",
        "a=http://h:1,-0.01",
        "a=http://h:1,1",
        "a=http://h:1,1.5",
        "a=http://h:1,NaN",
        "a=http://h:1,sNaN",
        "a=http://h:1,Infinity",
        "a=http://h:1,0.05 a=http://h:2,0.15",
        "a=http://h:1,0.05 b=http://h:2",
    ],
)
def test_what_is_malformed_is_refused_and_the_variable_named(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^PROCESSORS"):
        parse_processors(text)


def test_the_item_that_is_wrong_is_shown() -> None:
    with pytest.raises(SettingsError, match="'second=nowhere'"):
        parse_processors("first=http://h:1,0.05 second=nowhere")


@settings(deadline=None)
@given(st.one_of(st.text(), st.from_regex(r"\w+=http://\S+,\S+"), st.from_regex(r"\A\w+=http://h:1,0\.\d,\S*\Z")))
def test_no_text_raises_anything_but_a_settings_error(text: str) -> None:
    try:
        processors = parse_processors(text)
    except SettingsError:
        return
    assert all(0 <= processor.fee < 1 for processor in processors)
    assert all(processor.charges or ",lookup" in text for processor in processors)
