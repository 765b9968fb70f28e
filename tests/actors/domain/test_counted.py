"""What actors count has the name under which it is told."""

from actors.domain.counted import Counted


def test_each_has_a_metric_and_a_text() -> None:
    assert [(each.metric, each.text) for each in Counted] == [
        ("fiel_postgres_commit_failures", "Commits that failed and were tried again")
    ]
