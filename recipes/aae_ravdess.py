"""AAE-MTL on RAVDESS (speech): emotion, gender and speaker, the paper's models and controls; 1440 clips, 24 actors, 8 emotions.

    python recipes/aae_ravdess.py --corpus-root RAVDESS --protocol disjoint --systems aae,aae-single
    .. --corpus-root librispeech=DIR --corpus-root manifest=CLIPS.csv        auxiliary corpora: speakers and genders only
    .. --variant shares                                                      emotion labels for 5 to 100 % of the speakers
    .. --variant speakers --corpus-root manifest=CLIPS.csv                   sweep of the auxiliary speakers, 0 to 65
    .. --variant speakers-gender (or speakers-identity)                      the same with one auxiliary task
    .. --variant alpha (or beta)                                             sweep of a loss weight
    .. --variant paper                                                       the paper's optimizer

Protocols: ten folds of clips with every actor in each, and six folds of four actors. The paper did not use RAVDESS.
recipes/aae_emodb.py explains why the default training differs from the paper's; recipes/aae.py describes the systems. In EmoDB's
25 epochs, "aae" did not learn its training set (training UAR 51 % in fold 0); in 75 epochs it did (82 %).
"""

from dataclasses import replace

from aae import TEN, main, systems
from aae_emodb import CLIPS, COUNTS, OURS
from aae_sweeps import more_speakers, shares, weights
from aspmtl_ravdess import ACTORS, EMOTION

from keras_ser.cli.recipe_script import flat

LONGER = {**OURS, "epochs": 75}
UNSEEN = replace(ACTORS, validation=0)
VARIANTS = {
    "ravdess": systems("aae_ravdess", "ravdess", EMOTION, (CLIPS, UNSEEN), **LONGER),
    "shares": shares("aae_ravdess_shares", "ravdess", EMOTION, UNSEEN, **LONGER),
    **more_speakers("aae_ravdess", "ravdess", EMOTION, COUNTS, "manifest", protocols=(CLIPS, UNSEEN), **LONGER),
    **weights("aae_ravdess", "ravdess", EMOTION, protocols=(UNSEEN,), **LONGER),
    "paper": systems("aae_ravdess_paper", "ravdess", EMOTION, (TEN, ACTORS)),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(main(VARIANTS, __doc__))
