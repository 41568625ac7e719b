"""VGGVox for emotion and speaker identity on RAVDESS: 18 training and 6 test actors.

    python recipes/vggvox_ravdess.py --corpus-root RAVDESS                   12 epochs, for use without an accelerator
    python recipes/vggvox_ravdess.py --corpus-root RAVDESS --variant full    60 epochs, the paper's first setting

The paper did not use this corpus; it is included because it is available in full. Three women and three men are tested. As in the
paper, the learning rate of the short setting is divided by ten after each third of the epochs.

Cost: an epoch of 1080 clips takes about three minutes on two CPU cores, so the three networks take an hour and three quarters. On
processors with bfloat16 (AVX512-BF16, AMX), an epoch takes about 1.8 minutes with `--precision mixed_bfloat16`.
"""

from vggvox import OVER, REFERENCE, systems

from keras_ser.cli.recipe_script import flat, recipe_main
from keras_ser.cli.tables import gain_tables
from keras_ser.corpora import ravdess
from keras_ser.recipe import OptimizerConfig
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTION = Task("emotion", tuple(sorted(ravdess.EMOTIONS.values())))
ACTORS = Protocol("matched-actors", "matched", by="speaker", test=6, match=("gender",), validation=0)

SHORT = OptimizerConfig("sgd", 1e-2, weight_decay=5e-4, schedule="step", steps=(4, 8))
VARIANTS = {
    "ravdess": systems("vggvox_ravdess", "ravdess", EMOTION, (ACTORS,), optimizer=SHORT, batch_size=16, epochs=12),
    "full": systems("vggvox_ravdess_full", "ravdess", EMOTION, (ACTORS,)),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    tables = gain_tables(OVER, REFERENCE, {})
    raise SystemExit(recipe_main(VARIANTS, __doc__, reports=tables))
