from keras_ser.evaluation.training_segments import class_counts, unbalanced

MORE = {"anger": (40, 40), "fear": (20, 20), "joy": (10, 40)}
LESS = {"anger": (40, 80), "fear": (20, 20), "joy": (10, 10), "never": (0, 0)}


def test_rows_are_means_over_the_runs_of_a_protocol():
    rows = class_counts([("a", MORE), ("a", {"anger": (20, 30), "fear": (20, 20), "joy": (20, 50)}), ("b", LESS)])
    assert rows[0] == {"protocol": "a", "class": "anger", "clips": 30, "segments": 35, "% of segments": 35.0}
    assert [row["protocol"] for row in rows] == 3 * ["a"] + 4 * ["b"]


def test_a_balance_that_does_not_balance_is_told():
    (line,) = unbalanced([("a", MORE), ("b", LESS)])
    assert (
        line.startswith("b: ")
        and "8.0 times the smallest in training segments" in line
        and "4.0 times in clips" in line
    )
    assert unbalanced([]) == []
    assert unbalanced([("c", {"anger": (20, 60), "joy": (20, 20)})]) == []  # the clips alone are of different lengths
