"""Tables kept beside a run: whose answer they are, for two processes at once, and when they are damaged."""

import json
import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from keras_ser.experiment import stored
from keras_ser.experiment.stored import kept
from keras_ser.training import RunError
from tests import disk


def table(snr: float) -> pd.DataFrame:
    rng = np.random.default_rng(int(snr))
    return pd.DataFrame({"id": [f"{i:03}" for i in range(50)], "snr": snr, "score": [np.nan, *rng.normal(size=49)]})


def ask(folder, snr: float):
    return kept(folder, "in-noise", {"snrs": [snr]}, lambda: table(snr))


def test_a_kept_table_is_the_one_that_was_scored(tmp_path):
    made = ask(tmp_path, 5.0)
    again = kept(tmp_path, "in-noise", {"snrs": [5.0]}, lambda: pytest.fail("scored again"))
    pd.testing.assert_frame_equal(again, made, check_exact=True, check_dtype=False)
    assert set(ask(tmp_path, 10.0)["snr"]) == {10.0}


def test_two_questions_at_once_get_their_own_tables(tmp_path):
    """The second question is asked while the first is being scored; then both again and again, from many threads."""

    def score():
        assert set(ask(tmp_path, 10.0)["snr"]) == {10.0}
        return table(5.0)

    assert set(kept(tmp_path, "in-noise", {"snrs": [5.0]}, score)["snr"]) == {5.0}
    wrong, start = [], threading.Barrier(6)

    def work(snr):
        start.wait()
        for _ in range(30):
            try:
                found = ask(tmp_path, snr)
                if set(found["snr"]) != {snr} or len(found) != 50:
                    wrong.append((snr, found))
            except Exception as error:
                wrong.append((snr, error))

    threads = [threading.Thread(target=work, args=(float(n % 3),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    question = json.loads((tmp_path / "in-noise.json").read_text())
    assert set(pd.read_csv(tmp_path / "in-noise.csv")["snr"]) == set(question["snrs"])


def test_a_killed_writer_leaves_no_answer_to_the_wrong_question(tmp_path):
    """Killed between the table and the question: the table of 10 dB must not pass for that of 5 dB."""
    ask(tmp_path, 5.0)
    with disk.killed_after(1):
        ask(tmp_path, 10.0)
    assert (tmp_path / "in-noise.csv").exists() and not (tmp_path / "in-noise.json").exists()
    assert set(ask(tmp_path, 5.0)["snr"]) == {5.0}


def test_runs_in_folders_that_cannot_be_written_are_scored_and_their_tables_not_kept(tmp_path, caplog):
    """And where a table is kept, it is read."""
    runs = [
        SimpleNamespace(folder=tmp_path / name, split=SimpleNamespace(fold=k), seed=0) for k, name in enumerate("abc")
    ]
    for run in runs:
        run.folder.mkdir()
    ask(runs[2].folder, 5.0)
    parts = [(run, {}, {"snrs": [5.0]}, lambda step: table(5.0)) for run in runs[:2]]
    parts.append((runs[2], {}, {"snrs": [5.0]}, lambda step: pytest.fail("scored again")))
    with disk.read_only(tmp_path):
        found = stored.kept_tables("in-noise", parts)
    assert found["fold"].value_counts().to_dict() == {0: 50, 1: 50, 2: 50}
    assert not any(path for run in runs[:2] for path in run.folder.iterdir())
    (said,) = caplog.messages
    assert (
        said.startswith("in-noise.csv is not kept in ")
        and said.endswith("Permission denied.")
        and str(runs[0].folder) in said
    )


@pytest.mark.parametrize("name", ["in-noise.csv", "in-noise.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "bytes"])
def test_a_damaged_table_is_named(name, damage, tmp_path):
    ask(tmp_path, 5.0)
    file = tmp_path / name
    content = file.read_bytes()
    file.write_bytes(
        {"cut": content[: content.index(b"\n", len(content) // 2) + 1], "empty": b"", "bytes": b"\xff\0"}[damage]
    )
    with pytest.raises(RunError, match=rf"^{tmp_path}/in-noise.csv is damaged: .*\. Remove .* to score it again\.$"):
        ask(tmp_path, 5.0)
    (tmp_path / "in-noise.csv").unlink()
    assert len(ask(tmp_path, 5.0)) == 50


def test_tables_kept_by_earlier_versions_are_read(tmp_path):
    """Their question does not say how many rows the table has."""
    ask(tmp_path, 5.0)
    (tmp_path / "in-noise.json").write_text('{"snrs": [5.0]}')
    assert len(kept(tmp_path, "in-noise", {"snrs": [5.0]}, lambda: pytest.fail("scored again"))) == 50


@pytest.mark.parametrize(
    "facts",
    [
        [],
        {"root": 3},
        {"root": "a", "options": []},
        {"root": "a", "auxiliary": []},
        {"root": "a", "auxiliary": {"slr45": "b"}},
        {"root": "a", "auxiliary": {"slr45": {"cache": "c"}}},
    ],
)
def test_damaged_facts_of_an_experiment_are_one_line(tmp_path, facts):
    (tmp_path / stored.EXPERIMENT).write_text(json.dumps(facts))
    with pytest.raises(RunError, match="experiment.json is damaged: expected .*Replace it by a copy") as caught:
        stored.stored_facts(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
