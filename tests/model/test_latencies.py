import math

from hypothesis import given
from hypothesis import strategies as st

from deployer.model.latencies import CLASSES, LEAST_S, STEP, Latencies

TIMES = st.floats(min_value=0, max_value=300, allow_nan=False)


@given(st.lists(TIMES, min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_at_most_a_class_above_the_true_one(times: list[float], share: float) -> None:
    seen = Latencies()
    for one in times:
        seen.add(one)
    true = sorted(times)[math.ceil(share * len(times)) - 1]
    told = seen.quantile(share)
    assert true <= told * (1 + 1e-9)
    assert told <= max(true, LEAST_S) * STEP * (1 + 1e-6)
    assert math.isclose(seen.mean, sum(times) / len(times), abs_tol=1e-9)
    assert seen.count == len(times)


def test_nothing_took_no_time() -> None:
    assert Latencies().quantile(0.95) == Latencies().mean == 0


def test_what_takes_for_ever_is_in_the_last_class() -> None:
    seen = Latencies()
    seen.add(1e9)
    assert math.isclose(seen.quantile(0.5), LEAST_S * STEP**CLASSES)
