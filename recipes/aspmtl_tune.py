"""Search over the loss weights of ASP-MTL: alpha (emotion), beta (gender), gamma (adversary) and mu (orthogonality) of eq. 19.

    python recipes/aspmtl_tune.py                                              the demo corpus
    python recipes/aspmtl_tune.py --trials 40 --jobs 2 --prune median
    python recipes/aspmtl_tune.py --variant emodb --corpus-root EMODB --folds 0,1,2 --trials 60 --engine ray
    python recipes/aspmtl_tune.py --variant manifest --corpus-root clips.csv   a corpus of your own

This script searches the four weights on validation sets, then trains the best setting and the unchanged recipe with five further
seeds. The folder of the search contains

tuning.md         all trials, and whether the optimum exceeds chance and the spread over seeds
parallel.png      one line per trial through its weights and its score
importance.png    influence of each weight on the score (permutation importance of a random forest, Spearman's correlation)
map.png           the validation UAR over the two most important weights, as in figure 5 of the AAE-MTL paper
recipe.json       the recipe with the best weights, for `keras-ser train`

The recipes are those of aspmtl_*.py. On EmoDB, RAVDESS and a manifest, all other settings are those of an earlier search. The paper
does not state its weights. With Adam, only the ratios of the four weights matter, except for clipping and weight decay, so the
importance of alpha is that of all others together.
"""

from aspmtl_afew import DEMO, demo
from aspmtl_emodb import RECIPES as EMODB
from aspmtl_iemocap import RECIPES as IEMOCAP
from aspmtl_manifest import RECIPES as MANIFEST
from aspmtl_ravdess import RECIPES as RAVDESS

from keras_ser.cli import tune_main

SPACE = tuple(f"config.{weight}=0.03:3:log" for weight in ("alpha", "beta", "gamma", "mu"))
RECIPES = {
    DEMO: demo("aspmtl_tune_demo", "aspmtl"),
    "emodb": EMODB["aspmtl"],
    "iemocap": IEMOCAP["aspmtl"],
    "ravdess": RAVDESS["aspmtl"],
    "manifest": MANIFEST["aspmtl"],
}

if __name__ == "__main__":
    raise SystemExit(tune_main(RECIPES, __doc__, DEMO, space=SPACE, confirm=5))
