"""Multilevel on RAVDESS (speech): MFCC and spectrogram levels with the paper's additions; 1440 clips, 24 actors, 8 emotions.

    python recipes/multilevel_ravdess.py --corpus-root RAVDESS --systems ser,mf,mf-mtl-cr
    .. --wav2vec2 CHECKPOINT --alexnet FILE                                  the paper's pretrained parts, and its first row
    .. --variant levels                                                      single levels
    .. --variant leaky                                                       the test actors select the epoch
    .. --variant paper                                                       the paper's sizes and optimizer

Six folds of four actors; for "leaky" and "paper" only, two of the next actors select the epoch. The paper did not use RAVDESS.
recipes/multilevel_emodb.py explains why learning rate, epochs and sizes differ from the paper's by default; recipes/multilevel.py
describes the systems.
"""

from aspmtl_ravdess import ACTORS, EMOTION
from multilevel import NOTHING, Given, main
from multilevel_emodb import variants as of_corpus

from keras_ser.cli.recipe_script import flat
from keras_ser.splits import Protocol
from keras_ser.tasks import Task


def variants(given: Given, corpus: str = "ravdess", emotion: Task = EMOTION, protocol: Protocol = ACTORS):
    """Return variant -> system -> recipe."""
    return of_corpus(given, corpus, emotion, protocol)


RECIPES = flat(variants(NOTHING))

if __name__ == "__main__":
    raise SystemExit(main(variants, __doc__))
