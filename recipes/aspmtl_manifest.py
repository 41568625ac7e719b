"""ASP-MTL on a corpus of your own: a CSV with the columns file, speaker, gender, emotion (paths relative to the CSV).

To train a good model quickly and compare it with a baseline, use own.py. This recipe trains the paper's system and its parts.

    keras-ser corpus check manifest clips.csv
    python recipes/aspmtl_manifest.py --corpus-root clips.csv
    python recipes/aspmtl_manifest.py --corpus-root clips.csv --set 'tasks.emotion.labels=["angry", "calm", "sad"]'

Protocols: the paper's random 80/20 (speaker-dependent) and five folds of whole speakers, with one speaker to select the epoch.
The classes are the labels of the corpus, or those given with --set (a mismatch is reported before training).
"""

from aspmtl import RANDOM, variants

from keras_ser.cli import recipe_main
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTION = Task("emotion")
PROTOCOLS = (
    RANDOM,
    Protocol("speaker-folds", "k-fold", by="speaker", folds=5, validation=1),
)
RECIPES = variants("aspmtl_manifest", "manifest", EMOTION, PROTOCOLS)

if __name__ == "__main__":
    raise SystemExit(recipe_main(RECIPES, __doc__))
