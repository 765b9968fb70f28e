"""The environment is read once, and what is wrong in it is named."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from actors.domain.money import DECIMALS
from actors.domain.processors import PostedCurrencies, Processor
from actors.errors import SettingsError
from actors.settings import Durability, Settings, bind_addresses, host_name

REQUIRED = {"DATABASE_URL": "postgresql://h/fiel", "REDIS_URL": "redis://h"}
DEFAULTS = Settings(
    replica=host_name(),
    database_url="postgresql://h/fiel",
    redis_url="redis://h",
    processors=(
        Processor("default", "http://localhost:8001", Decimal("0.05")),
        Processor("fallback", "http://localhost:8002", Decimal("0.15")),
    ),
    journal_dir=Path("var/journal"),
    durability=Durability.FSYNC,
    allow_purge=False,
    allow_force=False,
    open_max=1_000_000,
    recent_max=65_536,
    charge_timeout_s=10.0,
    processor_delay_max_s=15.0,
    in_flight_max=266,
    outage_patience_s=11.0,
    backlog_patience_s=5.0,
    outage_backlog_s=1.0,
    slow_s=1.5,
    processor_in_flight_max=798,
)
POSITIVE = (
    "OPEN_MAX",
    "CHARGE_TIMEOUT_MS",
    "PROCESSOR_DELAY_MAX_MS",
    "IN_FLIGHT_MAX",
    "PROCESSOR_IN_FLIGHT_MAX",
    "SLOW_MS",
)


def test_what_is_not_set_has_a_default() -> None:
    assert Settings.from_environment(REQUIRED) == DEFAULTS


@pytest.mark.parametrize(
    ("host", "name"), [("fiel-7", "fiel-7"), ("ip-10-0-0-1.ec2.internal", "ip-10-0-0-1-ec2-internal"), ("a b", "a-b")]
)
def test_a_replica_without_a_name_has_the_one_of_its_host(
    host: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.node", lambda: host)
    assert Settings.from_environment(REQUIRED).replica == name


def test_a_host_without_a_name_needs_a_replica_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "")
    with pytest.raises(SettingsError, match="REPLICA"):
        Settings.from_environment(REQUIRED)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("REPLICA", "gateway-2_b", replace(DEFAULTS, replica="gateway-2_b")),
        ("DATABASE_URL", "postgresql://other/", replace(DEFAULTS, database_url="postgresql://other/")),
        ("REDIS_URL", "unix:///redis", replace(DEFAULTS, redis_url="unix:///redis")),
        (
            "PROCESSORS",
            "a=http://h:1,0.5",
            replace(DEFAULTS, processors=(Processor("a", "http://h:1", Decimal("0.5")),)),
        ),
        ("JOURNAL_DIR", "/data/journal", replace(DEFAULTS, journal_dir=Path("/data/journal"))),
        ("DURABILITY", "fsync", DEFAULTS),
        ("DURABILITY", "process", replace(DEFAULTS, durability=Durability.PROCESS)),
        ("DURABILITY", "ledger", replace(DEFAULTS, durability=Durability.LEDGER)),
        ("DURABILITY", "ledger,fsync", replace(DEFAULTS, durability=Durability.LEDGER_OR_FSYNC)),
        ("ALLOW_PURGE", "1", replace(DEFAULTS, allow_purge=True)),
        ("ALLOW_PURGE", "0", DEFAULTS),
        ("ALLOW_PURGE", "", DEFAULTS),
        ("ALLOW_FORCE", "1", replace(DEFAULTS, allow_force=True)),
        ("ALLOW_FORCE", "0", DEFAULTS),
        ("ALLOW_RESOLVE", "0", replace(DEFAULTS, allow_resolve=False)),
        ("ALLOW_RESOLVE", "1", DEFAULTS),
        ("ADMIN_TOKEN", "0123456789abcdef", replace(DEFAULTS, admin_token="0123456789abcdef")),
        ("ADMIN_TOKEN", "", DEFAULTS),
        ("OPEN_MAX", "1", replace(DEFAULTS, open_max=1)),
        ("RECENT_MAX", "7", replace(DEFAULTS, recent_max=7)),
        ("CHARGE_TIMEOUT_MS", "250", replace(DEFAULTS, charge_timeout_s=0.25)),
        ("PROCESSOR_DELAY_MAX_MS", "1500", replace(DEFAULTS, processor_delay_max_s=1.5)),
        ("IN_FLIGHT_MAX", "7", replace(DEFAULTS, in_flight_max=7)),
        ("PROCESSOR_IN_FLIGHT_MAX", "7", replace(DEFAULTS, processor_in_flight_max=7)),
        ("OUTAGE_PATIENCE_MS", "1500", replace(DEFAULTS, outage_patience_s=1.5)),
        ("OUTAGE_PATIENCE_MS", "0", replace(DEFAULTS, outage_patience_s=0.0)),
        ("BACKLOG_PATIENCE_MS", "250", replace(DEFAULTS, backlog_patience_s=0.25)),
        ("OUTAGE_BACKLOG_MS", "250", replace(DEFAULTS, outage_backlog_s=0.25)),
        ("OUTAGE_BACKLOG_MS", "0", replace(DEFAULTS, outage_backlog_s=0.0)),
        ("SLOW_MS", "250", replace(DEFAULTS, slow_s=0.25)),
        ("CURRENCY", "jpy", replace(DEFAULTS, currencies=PostedCurrencies("JPY", frozenset(DECIMALS)))),
        ("BACKLOG_PATIENCE_MS", "0", replace(DEFAULTS, backlog_patience_s=0.0)),
        ("ROUTING", "cheapest", DEFAULTS),
    ],
)
def test_each_variable_sets_one_thing(variable: str, value: str, expected: Settings) -> None:
    assert Settings.from_environment(REQUIRED | {variable: value}) == expected


@pytest.mark.parametrize(
    "secret", ["too-short", "has a space in it", "n\u00e3o-\u00e9-ascii-e-longo", "0123456789abcdef\n"]
)
def test_a_bad_token_is_refused_and_no_token_is_ever_shown(secret: str) -> None:
    with pytest.raises(SettingsError, match="ADMIN_TOKEN") as refused:
        Settings.from_environment(REQUIRED | {"ADMIN_TOKEN": secret})
    assert secret not in str(refused.value)
    assert "0123456789abcdef" not in repr(Settings.from_environment(REQUIRED | {"ADMIN_TOKEN": "0123456789abcdef"}))


@pytest.mark.parametrize("variable", REQUIRED)
def test_what_is_required_is_missed(variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environment({name: value for name, value in REQUIRED.items() if name != variable})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(
            (variable, "")
            for variable in ("REPLICA", "DATABASE_URL", "REDIS_URL", "PROCESSORS", "DURABILITY", "CURRENCY", "ROUTING")
        ),
        ("CURRENCY", "reais"),
        ("ROUTING", "dearest"),
        ("PROCESSORS", "a=http://h:1,0.05,reais"),
        *(("REPLICA", value) for value in ("-", "a b", "a/b", "..", "a\n", "a'b")),
        ("PROCESSORS", "default"),
        *(("DURABILITY", value) for value in ("none", "FSYNC", "fsync ", "fsync,ledger", "ledger,")),
        *(
            (variable, value)
            for variable in ("ALLOW_PURGE", "ALLOW_FORCE", "ALLOW_RESOLVE")
            for value in ("yes", "true", "2")
        ),
        *(
            (variable, value)
            for variable in (*POSITIVE, "OUTAGE_PATIENCE_MS", "OUTAGE_BACKLOG_MS", "BACKLOG_PATIENCE_MS")
            for value in ("", "-1", "1.5", "1e3", "many", " 1", "²")
        ),
        *((variable, "0") for variable in POSITIVE),
    ],
)
def test_what_is_malformed_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environment(REQUIRED | {variable: value})


@pytest.mark.parametrize("value", ["0.0.0.0:9999", "localhost:1,127.0.0.1:65535", "[::]:9999,[::1]:10001"])
def test_addresses_to_listen_on_are_separated_by_commas(value: str) -> None:
    assert bind_addresses({"BIND": value}) == value.split(",")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "9999",
        ":9999",
        "host:",
        "host:port",
        "host:0",
        "host:65536",
        "::1:80",
        "[::1:80",
        "a:1,,b:2",
        "unix:/run/fiel",
    ],
)
def test_what_is_no_address_to_listen_on_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"BIND: .* is not host:port"):
        bind_addresses({"BIND": value})
