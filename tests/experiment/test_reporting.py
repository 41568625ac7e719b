"""What a report says beside its scores, and two folders compared."""

import types

import numpy as np
import pandas as pd
import pytest

from keras_ser.evaluation import write_predictions
from keras_ser.experiment import compare_folders
from keras_ser.experiment.reporting import adversary_prior
from keras_ser.models import deterministic_model, svm
from keras_ser.models.aspmtl import Config
from keras_ser.recipe import Recipe, Stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

MAIN = Task("emotion", ("anger", "joy"))
PROTOCOL = Protocol("speakers", "leave-one-out", by="speaker")


def recipe(auxiliary=None, adversary="label", streams=None) -> Recipe:
    tasks = (MAIN, auxiliary) if auxiliary else (MAIN,)
    made = Recipe(name="r", corpus="demo", tasks=tasks, protocols=(PROTOCOL,), config=Config(adversary=adversary))
    return made if streams is None else made.replace(streams=streams)


def data_of(**columns):
    """Clips with these labels."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    clips = [types.SimpleNamespace(id=str(i), column=row.get) for i, row in enumerate(rows)]
    return types.SimpleNamespace(readable=types.SimpleNamespace(name="demo", utterances=clips))


STYLES = data_of(style=["read"] * 4 + ["acted"] * 3 + ["played"] * 3 + ["noise"] * 5 + [None] * 2)


def test_adversary_prior_is_of_the_merged_and_ignored_labels():
    """Raw: 5 of 15. Of the task: acted and played, 6 of the 10 that are not ignored."""
    style = Task("style", ("read", "acted"), merge={"played": "acted"}, ignore=("noise",))
    assert adversary_prior(recipe(style), STYLES) == pytest.approx(6 / 10)


def test_adversary_prior_is_of_the_derived_column():
    """A task of another name than its column's, as valence is derived from the emotion."""
    data = data_of(emotion=["anger"] * 4 + ["joy"] * 3 + ["sadness"] * 2)
    valence = Task(
        "valence", ("low", "high"), column="emotion", merge={"anger": "low", "sadness": "low", "joy": "high"}
    )
    assert adversary_prior(recipe(valence), data) == pytest.approx(6 / 9)


def test_adversary_prior_of_streams_is_their_share():
    streams = (Stream("main", share=0.75), Stream("other", share=0.5))
    assert adversary_prior(recipe(Task("gender", ("f", "m")), "source", streams), STYLES) == pytest.approx(0.6)


def test_adversary_prior_of_noises_is_that_of_the_streams():
    """A stream that mixes in one of two noises, two thirds of a batch, beside a clean one."""
    noise = Task("noise", ("clean", "white", "pink"))
    streams = (Stream("clean", share=1.0), Stream("noisy", share=2.0, noises=("white", "pink"), snr=(0.0,)))
    assert adversary_prior(recipe(noise, streams=streams), STYLES) == pytest.approx(1 / 3)
    streams = (Stream("clean", share=0.5), Stream("noisy", share=0.5, noises=("white", "pink"), snr=(0.0,)))
    assert adversary_prior(recipe(noise, streams=streams), STYLES) == pytest.approx(1 / 2)


def predictions(right: float, seeds=(0,)) -> pd.DataFrame:
    truth, rng = np.random.default_rng(1).integers(2, size=(8, 20)), np.random.default_rng(int(100 * right))
    rows = []
    for seed in seeds:
        for s in range(8):
            for c in range(20):
                told = truth[s, c] if rng.random() < right else 1 - truth[s, c]
                row = {"protocol": "speakers", "fold": s, "seed": seed, "stream": "main", "id": f"{s}-{c}"}
                row |= {"speaker": f"s{s}", "gender": "", "group": f"s{s}", "emotion": MAIN.labels[truth[s, c]]}
                row |= {
                    "emotion/prediction": MAIN.labels[told],
                    "emotion/anger": 1.0 - told,
                    "emotion/joy": float(told),
                }
                rows.append(row)
    return pd.DataFrame(rows)


def test_folders_of_deterministic_recipes_have_a_p_with_one_seed(tmp_path):
    fixed = recipe().replace(model="svm", config=svm.Config())
    drawn = fixed.replace(shuffle=("emotion",))
    assert deterministic_model(fixed) and not deterministic_model(drawn) and not deterministic_model(recipe())
    for name, right, made in (("a", 0.9, fixed), ("b", 0.6, fixed), ("c", 0.6, drawn)):
        (tmp_path / name).mkdir()
        write_predictions(predictions(right), tmp_path / name / "predictions.csv")
        (tmp_path / name / "recipe.json").write_text(made.to_json())
    said = compare_folders(tmp_path / "a", tmp_path / "b", "emotion", "uar")
    assert "p = 0.002" in said and "95 % CI over 8 speakers (t)" in said
    # labels in another order for another seed
    assert "no p (one seed" in compare_folders(tmp_path / "a", tmp_path / "c", "emotion", "uar")
    # a table without its recipe
    (tmp_path / "b" / "recipe.json").unlink()
    assert "no p (one seed" in compare_folders(tmp_path / "a", tmp_path / "b", "emotion", "uar")
