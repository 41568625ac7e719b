import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_ser.pipelines.threads import in_order


@pytest.mark.parametrize("ahead", [1, 3, 50])
def test_results_come_in_order_and_no_more_is_begun_than_asked_for(rng, ahead):
    waits, begun, taken = rng.uniform(0, 0.004, 40), [], 0

    def items():
        for i in range(40):
            begun.append(i)
            yield i, waits[i]

    def work(i, wait):
        time.sleep(wait)
        return i * i

    with ThreadPoolExecutor(4) as pool:
        for result in in_order(work, items(), pool, ahead):
            assert result == taken**2
            taken += 1
            assert len(begun) <= taken + ahead
    assert taken == 40


def test_an_error_comes_in_its_place_and_what_waits_is_not_begun():
    done = []

    def work(i):
        done.append(i)
        if i == 2:
            raise OSError("two")
        time.sleep(0.01)
        return i

    seen = []
    with ThreadPoolExecutor(1) as pool, pytest.raises(OSError, match="two"):
        for result in in_order(work, ((i,) for i in range(30)), pool, ahead=20):
            seen.append(result)
    assert seen == [0, 1] and len(done) < 22
