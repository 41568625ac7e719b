"""VGGVox for emotion and speaker identity on RAVDESS: 18 actors train, 6 are tested.

    python recipes/vggvox_ravdess.py --corpus-root RAVDESS --epochs 12

The paper has no figures of this corpus; it is here because RAVDESS can be had whole. Three women and three men are tested. Cost:
an epoch of one network is 1080 clips, about two and a half minutes on two CPU cores.
"""

from vggvox import OVER, PAPER, SOURCE, VERIFICATION, systems

from keras_ser.cli.speaker_recipes import gain_main
from keras_ser.corpora import ravdess
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTION = Task("emotion", tuple(sorted(ravdess.EMOTIONS.values())))
ACTORS = Protocol("matched-actors", "matched", by="speaker", test=6, match=("gender",), validation=0)

VARIANTS = {"ravdess": systems("vggvox_ravdess", "ravdess", EMOTION, (ACTORS,))}
RECIPES = VARIANTS["ravdess"]

if __name__ == "__main__":
    raise SystemExit(
        gain_main(VARIANTS, __doc__, over=OVER, paper=PAPER, paper_verification=VERIFICATION, source=SOURCE)
    )
