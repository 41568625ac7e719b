"""One small recipe for each entry of MODELS: what the checks that every model has to pass loop over."""

from importlib.util import find_spec

from keras_ser.models import aae_mtl, aspmtl, attention_dnn, is_baseline, multilevel, random_forest, svm, vggvox
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
TASKS = (Task("emotion", EMOTIONS), Task("gender", ("female", "male")))
MEL = FrontendConfig(features=("log_mel",), endpoint=False)
STATISTICS = FrontendConfig(features=("short_term",), window=800, hop=400, fft=1024, endpoint=False, statistics=True)
MAGNITUDE = FrontendConfig(("magnitude",), fft=512, preemphasis=0.0, endpoint=False, seconds=1.0, normalize=True)
BANDS = FrontendConfig(("linear_bands",), bins=32, preemphasis=0.0, endpoint=False)
CEPSTRUM = FrontendConfig(("mfcc",), coefficients=20, deltas=0, endpoint=False, unit=True)
IMAGE = FrontendConfig(("spectrogram",), endpoint=False, lowest=100, name="image")
LEVELS = {"units": 8, "image": (64, 80), "filters": (8, 8, 12, 12, 16), "steps": 5, "dense": 24}
WAVEFORM = FrontendConfig(("waveform",), window=160, hop=160, preemphasis=0.0, endpoint=False, name="raw")
THREE = {"levels": ("mfcc", "spectrogram", "wav2vec2"), "wav2vec2": "random", "wav2vec2_size": (16, 1)}
WITH_WAV2VEC2 = [("multilevel-wav2vec2", THREE, CEPSTRUM, (IMAGE, WAVEFORM))] * bool(
    find_spec("keras_ser.models.wav2vec2")
)
LEVELS |= {"lstm_dropout": 0.0, "dropout": 0.0}
CONV = {"encoder": "conv", "layers": 0, "projection": 32, "stem": 1, "block_dropout": 0.0}
CONV |= {"filters": (16, 32), "kernels": (3, 3), "pools": ((2, 2), (2, 2))}


def _recipe(name: str, model: str, config, frontend: FrontendConfig, rate: float = 3e-3) -> Recipe:
    return Recipe(
        name,
        "demo",
        TASKS,
        (Protocol("speakers", "k-fold", by="speaker", folds=4, validation=0),),
        model=model,
        config=config,
        frontend=frontend,
        sampling=Sampling("whole"),
        optimizer=OptimizerConfig("adam", rate, schedule="cosine"),
        batch_size=8,
        epochs=20,
        patience=0,
        seeds=(0,),
    )


def recipes() -> dict[str, Recipe]:
    """Name -> recipe."""
    small = {"dropout": 0.0, "adversary": "label"}
    found = [
        _recipe("aspmtl-lstm", "aspmtl", aspmtl.Config(**small, units=12), FrontendConfig(), rate=1e-2),
        _recipe("aspmtl-conv", "aspmtl", aspmtl.Config(**small, **CONV), MEL),
        _recipe("attention_dnn", "attention_dnn", attention_dnn.Config(), STATISTICS, rate=1e-2),
        _recipe(
            "vggvox",
            "vggvox",
            vggvox.Config(filters=(16, 32, 32, 32, 32), fc6=64, fc7=64, momentum=0.5),
            MAGNITUDE,
        ),
        *(
            _recipe(
                kind,
                "aae_mtl",
                aae_mtl.Config(
                    kind, filters=(8, 16), kernels=(3, 3), pools=((2, 2), (2, 2)), head_filters=16, dropout=0.0
                ),
                BANDS,
            ).replace(sampling=Sampling("segments", frames=64, hop=64, balance=False))
            for kind in ("aae", "ae", "cnn")
        ),
        *(
            _recipe(name, "multilevel", multilevel.Config(**LEVELS, **config), frontend).replace(
                frontends=further, sampling=Sampling("segments", seconds=0.5, balance=False)
            )
            for name, config, frontend, further in (
                ("multilevel", {}, CEPSTRUM, (IMAGE,)),
                (
                    "multilevel-all",
                    {"gender_prior": True, "level_heads": 0.5, "center": 0.01},
                    CEPSTRUM,
                    (IMAGE,),
                ),
                *WITH_WAV2VEC2,
                ("multilevel-dlinear", {"levels": ("mfcc",), "extractor": "dlinear"}, CEPSTRUM, ()),
            )
        ),
        _recipe("svm", "svm", svm.Config(C=(100.0,)), STATISTICS),
        _recipe("random_forest", "random_forest", random_forest.Config(trees=50, leaf=(1,)), STATISTICS),
    ]
    found[0] = found[0].replace(epochs=12)
    return {recipe.name: recipe for recipe in found}


RECIPES = recipes()
NETWORKS = {name: recipe for name, recipe in RECIPES.items() if not is_baseline(recipe)}
