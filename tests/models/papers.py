"""One small recipe for each entry of MODELS: what the checks that every model has to pass loop over."""

from keras_ser.models import MODELS, aspmtl, attention_dnn, is_baseline, random_forest, svm, vggvox
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
TASKS = (Task("emotion", EMOTIONS), Task("gender", ("female", "male")))
CEPSTRA = FrontendConfig(features=("mfcc", "energy"), endpoint=False)
STATISTICS = FrontendConfig(features=("short_term",), window=800, hop=400, fft=1024, endpoint=False, statistics=True)
MAGNITUDE = FrontendConfig(("magnitude",), fft=512, preemphasis=0.0, endpoint=False, seconds=1.0, normalize=True)
CONV = {
    "encoder": "conv",
    "layers": 0,
    "projection": 32,
    "filters": (16, 32),
    "kernels": (3, 3),
    "pools": ((2, 2), (2, 2)),
    "stem": 1,
}


def _recipe(name: str, config, frontend=CEPSTRA, rate: float = 1e-2, **more) -> Recipe:
    options = {
        "sampling": Sampling("whole"),
        "optimizer": OptimizerConfig("adam", rate),
        "batch_size": 8,
        "epochs": 40,
        "patience": 0,
        "seeds": (0,),
        **more,
    }
    protocols = (Protocol("speakers", "k-fold", by="speaker", folds=4, validation=0),)
    return Recipe(name, "demo", TASKS, protocols, config=config, frontend=frontend, **options)


def recipes() -> dict[str, Recipe]:
    """Name -> recipe; the part before a blank is the entry of MODELS."""
    segments = Sampling("segments", frames=48, hop=48, balance=False)
    small = {"units": 12, "dropout": 0.0, "adversary": "label", "gamma": 0.02}
    found = [
        _recipe("aspmtl-lstm", aspmtl.Config(**small), sampling=segments, model="aspmtl"),
        _recipe("aspmtl-conv", aspmtl.Config(**small, **CONV, block_dropout=0.0), rate=3e-3, model="aspmtl"),
        _recipe("attention_dnn", attention_dnn.Config(), STATISTICS, model="attention_dnn"),
        _recipe(
            "vggvox",
            vggvox.Config(filters=(8, 8, 8, 8, 8), fc6=32, fc7=16),
            MAGNITUDE,
            model="vggvox",
            rate=3e-3,
        ),
        _recipe("svm", svm.Config(C=(100.0,)), STATISTICS, model="svm"),
        _recipe("random_forest", random_forest.Config(trees=50, leaf=(1,)), STATISTICS, model="random_forest"),
    ]
    return {recipe.name: recipe for recipe in found}


RECIPES = recipes()
NETWORKS = {name: recipe for name, recipe in RECIPES.items() if not is_baseline(recipe)}


def test_every_model_has_a_row():
    assert {recipe.model for recipe in RECIPES.values()} == set(MODELS)
