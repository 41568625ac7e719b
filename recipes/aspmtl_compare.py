"""ASP-MTL and the two networks that its paper compares it with in figures 6 and 7: AAE-MTL and a multi-task DNN.

    python recipes/aspmtl_compare.py --corpus-root EMODB
    python recipes/aspmtl_compare.py --variant ravdess --corpus-root RAVDESS
    .. --protocol disjoint                                                   unseen speakers only

The figures are bars without numbers, so there is no paper column. Each network is taken from the recipe of its own paper
(`aspmtl_*.py`, `aae_*.py`, `mt_a_dnn.py`), with the same splits and seeds; the DNN takes whole clips instead of windows. Protocols:
the paper's random 80/20, and unseen speakers.
"""

import aae_emodb
import aae_ravdess
import aspmtl_emodb
import aspmtl_ravdess
from mt_a_dnn import FRONTEND

from keras_ser.cli.recipe_script import flat, recipe_main
from keras_ser.cli.tables import Paper, systems_table
from keras_ser.models.attention_dnn import DNN_MTL
from keras_ser.recipe import OptimizerConfig, Recipe, Sampling

ABOUT = {
    "aspmtl": "ASP-MTL, model 2: emotion, with the gender hidden from the shared features",
    "cascade": "the whole of ASP-MTL: model 1 drops the noise",
    "aae": "AAE-MTL: emotion, gender and speaker",
    "dnn-mtl": "two shared layers of 256 ReLU on statistics of the clip, emotion and gender",
}
PAIRS = (("aspmtl", "aae"), ("aspmtl", "dnn-mtl"), ("cascade", "aspmtl"))


def systems(name: str, aspmtl: dict[str, Recipe], aae: dict[str, Recipe]) -> dict[str, Recipe]:
    """Return system -> recipe, all with the splits and seeds of ASP-MTL."""
    first = aspmtl["aspmtl"]
    dnn = first.replace(
        model="attention_dnn",
        config=DNN_MTL,
        frontend=FRONTEND,
        sampling=Sampling("whole"),
        optimizer=OptimizerConfig("adam", 1e-3),
        batch_size=128,
        epochs=60,
        paper=(),
    )
    shared = {"protocols": first.protocols, "seeds": first.seeds}
    made = {"aspmtl": first, "cascade": aspmtl["cascade"], "aae": aae["aae"].replace(**shared), "dnn-mtl": dnn}
    return {system: recipe.replace(name=f"aspmtl_compare_{name}-{system}") for system, recipe in made.items()}


VARIANTS = {
    "emodb": systems("emodb", aspmtl_emodb.RECIPES, aae_emodb.RECIPES),
    "ravdess": systems("ravdess", aspmtl_ravdess.RECIPES, aae_ravdess.RECIPES),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(recipe_main(VARIANTS, __doc__, reports=systems_table(ABOUT, PAIRS, Paper())))
