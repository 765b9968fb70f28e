"""The window covers a short time under load, and a longer one when calls are rare."""

from actors.domain.sliding_window import SlidingWindow


def test_the_window_tells_calls_and_rates_of_its_last_seconds() -> None:
    window = SlidingWindow(10.0, window_s_max=10.0, calls_min=100)
    window.record(0.0, failed=True, slow=False)
    window.record(5.0, failed=False, slow=True)
    assert window.rates(9.0) == (2, 0.5, 0.5)
    assert window.rates(10.0) == (1, 0.0, 1.0)
    assert window.rates(1e9) == (0, 0.0, 0.0)


def test_the_window_reaches_back_for_enough_calls_where_they_are_few() -> None:
    window = SlidingWindow(1.0, window_s_max=10.0, calls_min=3)
    for second in range(6):
        window.record(float(second), failed=second < 4, slow=False)
    assert window.rates(5.0) == (3, 1 / 3, 0.0)
    for _ in range(3):
        window.record(5.5, failed=False, slow=False)
    assert window.rates(5.5) == (4, 0.0, 0.0)
    assert window.rates(14.0) == (3, 0.0, 0.0)
    assert window.rates(16.0) == (0, 0.0, 0.0)


def test_the_window_slides_by_a_tenth_of_its_length() -> None:
    window = SlidingWindow(10.0, window_s_max=10.0, calls_min=0)
    window.record(0.95, failed=True, slow=True)
    assert window.rates(9.99) == (1, 1.0, 1.0)
    assert window.rates(10.0) == (0, 0.0, 0.0)
    longer = SlidingWindow(10.0, window_s_max=20.0, calls_min=1)
    longer.record(0.95, failed=True, slow=True)
    longer.record(9.0, failed=False, slow=False)
    assert longer.rates(10.0) == (1, 0.0, 0.0)


def test_calls_beyond_the_longest_window_are_forgotten_when_the_next_one_ends() -> None:
    window = SlidingWindow(1.0, window_s_max=2.0, calls_min=100)
    window.record(0.05, failed=True, slow=False)
    window.record(0.15, failed=True, slow=False)
    assert window.rates(2.0) == (1, 1.0, 0.0)
    window.record(2.1, failed=False, slow=False)
    assert window.rates(2.1) == (1, 0.0, 0.0)
    assert window.rates(0.15) == (1, 0.0, 0.0)


def test_a_window_that_was_cleared_holds_nothing() -> None:
    window = SlidingWindow(1.0, window_s_max=2.0, calls_min=1)
    window.record(0.0, failed=True, slow=False)
    window.clear()
    assert window.rates(0.0) == (0, 0.0, 0.0)
