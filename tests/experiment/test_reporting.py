"""What a report says beside its scores, and two folders compared."""

import numpy as np
import pandas as pd

from keras_ser.evaluation import write_predictions
from keras_ser.experiment import compare_folders
from keras_ser.models import deterministic_model, svm
from keras_ser.models.aspmtl import Config
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

MAIN = Task("emotion", ("anger", "joy"))
PROTOCOL = Protocol("speakers", "leave-one-out", by="speaker")


def recipe() -> Recipe:
    return Recipe(name="r", corpus="demo", tasks=(MAIN,), protocols=(PROTOCOL,), config=Config(adversary="label"))


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
