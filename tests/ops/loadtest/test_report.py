"""The page is one file whose pictures can be read, with the stages shaded."""

import json
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ops.loadtest.games import FINAL, PREVIEW
from ops.loadtest.latencies import PostedPayment
from ops.loadtest.outcome import judge_game, outcome
from ops.loadtest.player import ConsistencyCheck, GameRecord
from ops.loadtest.progress import GameMoment
from ops.loadtest.report import page, pictures
from ops.loadtest.score import PaidTotal
from ops.loadtest.svg import Line, Shade, chart
from ops.loadtest.usage_notes import PartUsage, read_usage_notes

SVG = "{http://www.w3.org/2000/svg}"
SHADES = (Shade(0, 10, "calm & quiet"), Shade(10, 60, "<slow>"))


def parsed(drawn: str) -> ET.Element:
    return ET.fromstring(drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))  # noqa: S314 - ours


def record() -> GameRecord:
    posts = [PostedPayment(number / 10, number / 10, number / 10 + 0.002, 202) for number in range(600)]
    posts.append(PostedPayment(59.5, 59.5, 61.0, 0))
    return GameRecord(
        posts=posts,
        latencies_ms=[2.0] * 600,
        checks=[ConsistencyCheck(40.0, 200, 12.0, {"default": 3, "fallback": 0}, {"default": 2, "fallback": 0}, 1)],
        accepted=600,
        summary={
            "default": PaidTotal(590, Decimal(11741), Decimal("0.05")),
            "fallback": PaidTotal(9, Decimal("179.1"), Decimal("0.15")),
        },
    )


def test_a_line_goes_from_left_to_right_and_up_with_its_values() -> None:
    root = parsed(chart("t", [Line("p99", [(0, 0), (30, 5), (60, 10)])], SHADES))
    (line,) = root.findall(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert [x for x, _ in points] == pytest.approx([60, 415, 770])
    assert [y for _, y in points] == pytest.approx([204, 113, 22])


def test_each_stage_is_shaded_and_named() -> None:
    root = parsed(chart("t", [Line("p99", [(0, 1)])], SHADES))
    assert [rect.findtext(f"{SVG}title") for rect in root.findall(f"{SVG}rect")] == ["calm & quiet", "<slow>"]


def test_a_tenth_of_the_scale_is_the_same_step_anywhere_on_a_logarithmic_one() -> None:
    root = parsed(chart("t", [Line("p99", [(0, 0.1), (1, 1), (2, 10), (3, 0)])], SHADES, logarithmic=True))
    points = root.findall(f"{SVG}polyline")[0].attrib["points"].split()
    first, second, third, below = (float(point.split(",")[1]) for point in points)
    assert first - second == pytest.approx(second - third, abs=0.11)
    assert below == first


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [
        (1080, ["0", "200", "400", "600", "800", "1000"]),
        (0.27, ["0", "0.05", "0.1", "0.15", "0.2", "0.25"]),
        (70.7, ["0", "20", "40", "60"]),
        (0, None),
    ],
)
def test_a_scale_has_round_values(highest: float, ticks: list[str] | None) -> None:
    root = parsed(chart("t", [Line("x", [(0, highest)])], SHADES))
    shown = [each.text for each in root.findall(f"{SVG}text") if each.attrib.get("text-anchor") == "end"]
    assert shown == ticks or (ticks is None and shown)


def test_a_limit_is_drawn_dashed_and_within_the_picture() -> None:
    root = parsed(chart("t", [Line("memory", [(0, 50)], limit=88)], SHADES))
    dashed = [each for each in root.findall(f"{SVG}line") if "stroke-dasharray" in each.attrib]
    assert [float(each.attrib["y1"]) for each in dashed] == [22]


def test_the_figures_explain_the_score() -> None:
    figures = outcome(PREVIEW, record())
    profit = 11741 * 0.95 + 179.1 * 0.85
    assert figures["score"] == pytest.approx(profit * (1 + 0.18 - 0.35), abs=0.01)
    assert (figures["accepted"], figures["failed"], figures["lag"], figures["differences"]) == (600, 1, 1, 1)
    assert figures["statuses"] == {}
    assert figures["differing_checks"] == [
        {
            "at_s": 40.0,
            "status": 200,
            "took_ms": 12.0,
            "gateway": {"default": 3, "fallback": 0},
            "processors": {"default": 2, "fallback": 0},
            "differences": 1,
        }
    ]
    json.dumps(figures)


def test_the_verdict_is_told_in_words() -> None:
    assert judge_game(PREVIEW, record()).words == (
        "Broken: 1 of 601 payments were not accepted, 1 accepted ones were not paid in time, "
        "1 differences in summaries; "
        f"{outcome(PREVIEW, record())['score']:,.2f} points."
    )
    good = record()
    good.posts.pop()
    good.checks.clear()
    good.summary = {name: PaidTotal(300, Decimal(5970), Decimal("0.05")) for name in ("default", "fallback")}
    kept = judge_game(PREVIEW, good)
    assert kept.kept
    assert kept.words.startswith("Kept: 600 payments accepted and paid in time, no summary differed; ")
    assert not judge_game(PREVIEW, good, ["default: its fee"]).kept


def test_a_check_that_a_processor_did_not_answer_is_no_difference_but_told() -> None:
    unknown = ConsistencyCheck(50.0, 200, 12.0, {"default": 3, "fallback": 0}, {"default": None, "fallback": 0}, None)
    played = record()
    played.checks = [unknown]
    figures = outcome(PREVIEW, played)
    assert (figures["differences"], figures["fine"], figures["differing_checks"]) == (0, 0, [])
    assert figures["unanswered_checks"] == [
        {
            "at_s": 50.0,
            "status": 200,
            "took_ms": 12.0,
            "gateway": {"default": 3, "fallback": 0},
            "processors": {"default": None, "fallback": 0},
            "differences": None,
        }
    ]
    assert "points; a processor did not answer 1 of the checks" in page(PREVIEW, played, [], {}, figures)


def test_a_score_is_unknown_where_the_books_that_count_are() -> None:
    played = record()
    played.ledgers = {"default": None, "fallback": PaidTotal(9, Decimal("180.45"), Decimal("0.10"))}
    assert outcome(PREVIEW, played)["score"] is not None
    figures = outcome(FINAL, played)
    assert [figures[name] for name in ("score", "profit", "fine", "lag", "disqualified")] == [None] * 5
    assert figures["paid"] == {"default": None, "fallback": 9}
    assert "final: score unknown, as a processor did not answer" in page(FINAL, played, [], {}, figures)


def test_a_file_of_the_pictures_shows_one_below_the_other() -> None:
    moments = [GameMoment(float(at_s), at_s * 10, {"default": at_s * 9, "fallback": at_s}, {}) for at_s in range(1, 60)]
    root = ET.fromstring(pictures(PREVIEW, record(), moments, {}, outcome(PREVIEW, record())))  # noqa: S314 - ours
    assert root.attrib["viewBox"] == "0 0 920 720"
    assert [each.attrib["y"] for each in root.findall(f"{SVG}svg")] == ["30", "260", "490"]
    assert root.findtext(f"{SVG}title", "").startswith("preview: ")


def test_the_page_has_a_picture_of_everything_and_nothing_from_elsewhere() -> None:
    moments = [GameMoment(float(at_s), at_s * 10, {"default": at_s * 9, "fallback": at_s}, {}) for at_s in range(1, 60)]
    moments.append(GameMoment(59.5, 600, None, {}))
    usage = {"replica 1": PartUsage([(0, 50.0), (2, 60.0)], [(2, 0.2)], 12.0, 88.0, 0.35)}
    text = page(PREVIEW, record(), moments, usage, outcome(PREVIEW, record()))
    drawn = [parsed(f"<svg {part.partition('</svg>')[0]}</svg>") for part in text.split("<svg ")[1:]]
    assert [picture.attrib["aria-label"].partition(",")[0] for picture in drawn] == [
        "Latency of POST /payments by second",
        "Payments a second",
        "Payments that wait",
        "Memory",
        "CPU",
    ]
    assert all(len(picture.findall(f"{SVG}rect")) == len(PREVIEW.stages) for picture in drawn)
    assert "http" not in text
    assert "+2000 ms, fails" in text


def test_a_page_without_processes_or_moments_says_so() -> None:
    assert "could not be read" in page(PREVIEW, record(), [], {}, outcome(PREVIEW, record()))


def test_what_the_sampler_noted_counts_from_the_begin(tmp_path: Path) -> None:
    notes = tmp_path / "usage.jsonl"
    rows = [(98.0, 1.0, 40e6), (100.0, 1.5, 50e6), (102.0, 2.5, 70e6), (104.0, 2.6, 60e6)]
    periods = [{"periods": number, "throttled": number // 10} for number in (0, 20, 40, 60)]
    lines = [
        json.dumps({"redis": {"at_s": at_s, "cpu_s": cpu_s, "bytes": held, "bytes_max": 8e7, "cpus_max": None} | waits})
        for (at_s, cpu_s, held), waits in zip(rows, periods, strict=True)
    ]
    notes.write_text("\n".join([*lines, '{"redis": {"at_s']))
    found = read_usage_notes(notes, began_s=99.0)["redis"]
    assert found.memory_mb == [(1, 50), (3, 70), (5, 60)]
    assert [at_s for at_s, _ in found.cpus] == [3, 5]
    assert [cpus for _, cpus in found.cpus] == pytest.approx([0.5, 0.05])
    assert (found.peak_mb, found.mb_max, found.cpus_max) == (70, 80, None)
    assert found.cpu_s == pytest.approx(1.1)
    assert found.throttled_share == pytest.approx(0.1)


def test_a_process_that_replaced_another_has_not_used_less_than_nothing(tmp_path: Path) -> None:
    notes = tmp_path / "usage.jsonl"
    used_s = [5.0, 6.0, 0.25, 0.75]
    lines = [
        json.dumps({"redis": {"at_s": 100.0 + 2 * number, "cpu_s": cpu_s, "bytes": 1, "bytes_max": 1, "cpus_max": 1}})
        for number, cpu_s in enumerate(used_s)
    ]
    notes.write_text("\n".join(lines))
    found = read_usage_notes(notes, began_s=100.0)["redis"]
    assert (found.cpu_s, [cpus for _, cpus in found.cpus]) == (1.5, [0.5, 0, 0.25])


def test_without_notes_there_is_no_usage(tmp_path: Path) -> None:
    assert read_usage_notes(tmp_path / "none", 0.0) == {}


def test_what_a_part_used_is_said_in_a_short_line() -> None:
    free = PartUsage([(0, 50.0), (2, 60.0)], [(2, 0.2)], 12.0, None, None)
    assert free.in_words(10_000) == "60.0 MB, CPU 12.00 s, 1.200 ms a payment"
    limited = PartUsage([(0, 50.0), (2, 60.0)], [(2, 0.2)], 12.0, 88.0, 0.35, 0.025)
    assert (
        limited.in_words(10_000) == "60.0 of 88 MB, CPU 12.00 s, 1.200 ms a payment, limit 0.35 cores, throttled 2.5%"
    )
