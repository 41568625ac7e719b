"""ASP-MTL on AVEC 2016 (RECOLA): continuous arousal and valence of segments of four seconds.

    python recipes/aspmtl_avec.py --corpus-root AVEC2016
    python recipes/aspmtl_avec.py --corpus manifest --corpus-root clips.csv --variant seven-classes

The paper mentions seven emotion classes in AVEC 2016, but the challenge has none: its emotion part is RECOLA's time-continuous gold
standard of arousal and valence. This recipe uses the gold standard. The label of a segment is the mean over the segment; arousal is
the main task and valence the auxiliary task. The variant "seven-classes" reads seven classes of your own from a manifest.

Protocols: a random split of the recordings, and the challenge's train/dev. RECOLA does not name speakers: unless --metadata CSV
names them, each recording counts as one speaker, and confidence intervals are over recordings. For continuous labels the paper
states no settings; ours are whole segments instead of 96 frames, batches of 64 instead of 256, and 30 epochs.
"""

from aspmtl import RANDOM, variants
from aspmtl_afew import EMOTION

from keras_ser.cli import recipe_main
from keras_ser.models.aspmtl import Config
from keras_ser.recipe import Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

AROUSAL = Task("arousal", low=-1.0, high=1.0)
VALENCE = Task("valence", low=-1.0, high=1.0)
OFFICIAL = Protocol("official-train-dev", "stated", by="subset", stated=(("dev",),), validation=0.1, apart=("speaker",))
PAPER = (
    ("emotion", "accuracy", 0.8913, "Liu & Zhang, table 1 (AVEC 2016, random 80/20)"),
    ("emotion", "weighted_f1", 0.894, "Liu & Zhang, table 1 (AVEC 2016, random 80/20)"),
)
RECIPES = {
    "continuous": Recipe(
        name="aspmtl_avec",
        corpus="avec2016",
        tasks=(AROUSAL, VALENCE),
        protocols=(RANDOM, OFFICIAL),
        config=Config(adversary=None),
        sampling=Sampling("whole"),
        batch_size=64,
        epochs=30,
    )
}
_speakers = Protocol("speaker-folds", "k-fold", by="speaker", folds=5, validation=1)
CLASSES = variants("aspmtl_avec_classes", "manifest", EMOTION, (RANDOM, _speakers), PAPER, "paper")
RECIPES["seven-classes"] = CLASSES["cascade"]

if __name__ == "__main__":
    raise SystemExit(recipe_main(RECIPES, __doc__))
