"""Common part of the VGGVox recipes: emotion only, speaker only, and both in one network (hard sharing)."""

from keras_ser.cli.tables import Paper
from keras_ser.models.vggvox import Config
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

SPEAKER = Task("speaker", identity=True)
# 4 s of magnitudes, 25 ms windows every 10 ms: 512 bins of a 1024-point DFT, 400 frames
FRONTEND = FrontendConfig(
    features=("magnitude",),
    fft=1024,
    preemphasis=0.0,
    endpoint=False,
    seconds=4.0,
    normalize=True,
)
SETTINGS = {
    # the paper's first setting: 0.01, divided by ten every 20 of 60 epochs
    1: (60, OptimizerConfig("sgd", 1e-2, weight_decay=5e-4, schedule="step", steps=(20, 40))),
    # and its second: 0.001, divided by ten after 30 of 50 epochs
    2: (50, OptimizerConfig("sgd", 1e-3, weight_decay=5e-4, schedule="step", steps=(30,))),
}

# per emotion and in total (accuracy)
COLUMNS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
FIGURES = {
    "emotion": (0.645, 0.371, 0.328, 0.431, 0.422, 0.473, 0.445),
    "both": (0.725, 0.435, 0.420, 0.456, 0.518, 0.533, 0.515),
}
PAPER = {
    system: dict(zip([f"recall/{label}" for label in COLUMNS] + ["accuracy"], figures, strict=True))
    for system, figures in FIGURES.items()
}
FIRST = Paper(
    "its tables on CREMA-D, first setting, with 67 and 24 actors of its own",
    PAPER,
    {"speaker": {"accuracy": 0.525}, "both": {"accuracy": 0.529}},
)
SECOND = Paper(
    "the text on CREMA-D, second setting, with 67 and 24 actors of its own",
    verification={"speaker": {"accuracy": 0.531}, "both": {"accuracy": 0.528}},
)
OVER, REFERENCE = ("emotion", "both"), "speaker"


def systems(
    name: str, corpus: str, emotion: Task, protocols: tuple[Protocol, ...], setting: int = 1, **changes
) -> dict[str, Recipe]:
    """Return system -> recipe: "emotion" and "speaker" as single tasks, and "both"."""
    epochs, optimizer = SETTINGS[setting]
    common = {
        "corpus": corpus,
        "protocols": protocols,
        "model": "vggvox",
        "config": Config(),
        "frontend": FRONTEND,
        "sampling": Sampling("whole"),
        "optimizer": optimizer,
        "batch_size": 64,
        "epochs": epochs,
        "patience": 0,
        "seeds": (0,),
        **changes,
    }
    tasks = {"emotion": (emotion,), "both": (emotion, SPEAKER), "speaker": (SPEAKER,)}
    return {system: Recipe(name=f"{name}-{system}", tasks=own, **common) for system, own in tasks.items()}
