"""ASP-MTL on RAVDESS (speech): 1440 clips, 24 actors, 8 emotions, English.

    python recipes/aspmtl_ravdess.py --corpus-root RAVDESS    the paper's random split and six folds of four actors, three seeds
    .. --protocol disjoint                                    six folds of four actors only

The folds are actors 1-4, 5-8, ..: two men and two women each. The paper did not use RAVDESS, so there is no paper column. The UAR
of baselines on the same folds: openSMILE eGeMAPS + SVC 46.8, ComParE + SVC 55.7. Two files of actor 7 are identical; they are kept
on the same side of every split.
"""

from aspmtl import RANDOM, variants

from keras_ser.cli import recipe_main
from keras_ser.corpora.ravdess import EMOTIONS
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTION = Task("emotion", tuple(EMOTIONS.values()))
FOLDS = tuple(tuple(f"{actor:02d}" for actor in range(first, first + 4)) for first in range(1, 25, 4))
ACTORS = Protocol("six-folds-of-actors", "stated", by="speaker", stated=FOLDS, validation=2)
RECIPES = variants("aspmtl_ravdess", "ravdess", EMOTION, (RANDOM, ACTORS))
for _name in ("conv", "conv-single"):
    # half of every clip is silence, so that a crop of two seconds could miss the speech
    RECIPES[_name] = RECIPES[_name].override("frontend.endpoint", True)

if __name__ == "__main__":
    raise SystemExit(recipe_main(RECIPES, __doc__))
