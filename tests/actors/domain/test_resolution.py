"""What became of an operator's finding is kept in Postgres, where every release has to read it."""

from actors.domain.resolution import ResolutionAnswer


def test_answers_have_the_names_that_rows_hold() -> None:
    names = ["applied", "may settle by itself", "settled", "not found"]
    assert [answer.value for answer in ResolutionAnswer] == names
