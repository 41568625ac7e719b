"""ASP-MTL and the two networks that its paper compares it with in figures 6 and 7: AAE-MTL and a multi-task DNN.

    python recipes/aspmtl_compare.py --corpus-root EMODB
    python recipes/aspmtl_compare.py --variant ravdess --corpus-root RAVDESS
    python recipes/aspmtl_compare.py --variant afew --corpus-root AFEW --metadata clips.csv         figure 7
    python recipes/aspmtl_compare.py --variant avec --corpus-root clips.csv                         figure 6
    .. --protocol disjoint                                                   unseen speakers only

The paper's figures are bars of accuracy and F1 without numbers, so there is no paper column. Each network is taken from the recipe
of its own paper (`aspmtl_*.py`, `aae_*.py`, `mt_a_dnn.py`) and trained with the same splits and seeds. The DNN takes whole clips
instead of windows.

Protocols: the paper's random 80/20, and unseen speakers (AFEW: the challenge's Train/Val). AFEW does not name speakers, so AAE-MTL
is trained on emotion and gender there. AVEC 2016 has no emotion classes; provide them in a manifest (see recipes/aspmtl_avec.py).
"""

from dataclasses import replace

import aae
import aae_emodb
import aae_ravdess
import aspmtl_afew
import aspmtl_avec
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
    "aae": "AAE-MTL: emotion, gender and, where the corpus names them, speaker",
    "dnn-mtl": "two shared layers of 256 ReLU on statistics of the clip, emotion and gender",
}
PAIRS = (("aspmtl", "aae"), ("aspmtl", "dnn-mtl"), ("cascade", "aspmtl"))


def systems(name: str, aspmtl: dict[str, Recipe], autoencoder: Recipe) -> dict[str, Recipe]:
    """Return system -> recipe, all with the splits and seeds of ASP-MTL."""
    first = aspmtl["aspmtl"]
    dnn = first.replace(
        model="attention_dnn",
        config=replace(DNN_MTL, dropout=0.5),  # as all methods of the paper's comparison
        frontend=FRONTEND,
        sampling=Sampling("whole"),
        optimizer=OptimizerConfig("adam", 1e-3),
        batch_size=128,
        epochs=60,
        paper=(),
    )
    shared = {"protocols": first.protocols, "seeds": first.seeds}
    made = {"aspmtl": first, "cascade": aspmtl["cascade"], "aae": autoencoder.replace(**shared), "dnn-mtl": dnn}
    return {system: recipe.replace(name=f"aspmtl_compare_{name}-{system}") for system, recipe in made.items()}


def autoencoder(name: str, aspmtl: dict[str, Recipe]) -> Recipe:
    """Return AAE-MTL with its paper's settings; of three tasks, or of emotion and gender."""
    first = aspmtl["aspmtl"]
    return aae.systems("compared", first.corpus, first.tasks[0])[name]


VARIANTS = {
    "emodb": systems("emodb", aspmtl_emodb.RECIPES, aae_emodb.RECIPES["aae"]),
    "ravdess": systems("ravdess", aspmtl_ravdess.RECIPES, aae_ravdess.RECIPES["aae"]),
    "afew": systems("afew", aspmtl_afew.RECIPES, autoencoder("aae-gender", aspmtl_afew.RECIPES)),
    "avec": systems("avec", aspmtl_avec.CLASSES, autoencoder("aae", aspmtl_avec.CLASSES)),
}
METRICS = ("accuracy", "weighted_f1", "uar")
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(recipe_main(VARIANTS, __doc__, reports=systems_table(ABOUT, PAIRS, Paper(), metrics=METRICS)))
