"""VGGVox for emotion and speaker identity on CREMA-D: the multi-task network against single-task networks.

    python recipes/vggvox_cremad.py                                  a trial: the demo corpus and a small network
    python recipes/vggvox_cremad.py --corpus-root CREMA-D            67 training and 24 test actors, 60 epochs
    python recipes/vggvox_cremad.py --variant second --corpus-root CREMA-D      the paper's second setting (50 epochs, 0.001)
    python recipes/vggvox_cremad.py --variant sentences --corpus-root CREMA-D   split by sentence instead of actor

Three networks are trained: emotion only, speaker only, and both. No epoch is selected; the last one is tested. The 24 test actors
are selected so that sex, age, race and ethnicity are distributed as among the 67; the paper does not list its test actors. Since
test speakers are unseen, the speaker task is evaluated by verification: accuracy at the equal-error threshold, EER, minDCF.

Cost: a step of 64 clips takes 1.3 TFLOP, so 60 epochs of 5475 clips take about 7 PFLOP per network, or about 14 hours on two CPU
cores. Use a GPU, or reduce the cost with `--systems`, `--epochs` and `--set batch_size=16` (and report that you did).
"""

from vggvox import FIRST, OVER, REFERENCE, SECOND, systems

from keras_ser.cli.recipe_script import flat, recipe_main
from keras_ser.cli.tables import gain_tables
from keras_ser.corpora import crema_d
from keras_ser.models.vggvox import Config
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTION = Task("emotion", tuple(sorted(crema_d.EMOTIONS.values())))
ACTORS = Protocol(
    "matched-actors",
    "matched",
    by="speaker",
    test=24,
    match=("gender", "age_group", "race", "ethnicity"),
    validation=0,
)
SENTENCES = Protocol("sentences", "k-fold", by="sentence", folds=4, validation=0)

VARIANTS = {
    "crema_d": systems("vggvox_cremad", "crema_d", EMOTION, (ACTORS,)),
    "second": systems("vggvox_cremad_second", "crema_d", EMOTION, (ACTORS,), setting=2),
    "sentences": systems("vggvox_cremad_sentences", "crema_d", EMOTION, (SENTENCES,)),
    "demo": systems(
        "vggvox_demo",
        "demo",
        Task("emotion", ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")),
        (Protocol("matched-speakers", "matched", by="speaker", test=4, match=("gender",), validation=0),),
        config=Config(filters=(8, 16, 16, 16, 16), fc6=64, fc7=32),
        batch_size=32,
        epochs=4,
    ),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    tables = gain_tables(OVER, REFERENCE, {"crema_d": FIRST, "second": SECOND})
    raise SystemExit(recipe_main(VARIANTS, __doc__, "demo", reports=tables))
