from actors.domain.trouble import Trouble


def test_what_works_is_not_told() -> None:
    trouble = Trouble("batches fail")
    assert (trouble.succeeded(), trouble.describe(100.0)) == (False, None)


def test_what_fails_is_told_since_its_first_failure_with_the_latest_reason() -> None:
    trouble = Trouble("batches fail")
    assert trouble.failed("no answer", 100.0)
    assert not trouble.failed(ValueError("read-only"), 103.0)
    assert trouble.describe(107.4) == "batches fail for 7 s: read-only"


def test_after_a_success_the_next_failure_is_a_first_one_again() -> None:
    trouble = Trouble("batches fail")
    trouble.failed("no answer", 100.0)
    assert trouble.succeeded()
    assert trouble.describe(101.0) is None
    assert trouble.failed("no answer", 102.0)
    assert trouble.describe(102.0) == "batches fail for 0 s: no answer"
