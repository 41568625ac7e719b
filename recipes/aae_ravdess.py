"""AAE-MTL on RAVDESS (speech): emotion, gender and speaker, the paper's models and controls; 1440 clips, 24 actors, 8 emotions.

    python recipes/aae_ravdess.py --corpus-root RAVDESS --protocol disjoint --systems aae,aae-single
    .. --corpus-root librispeech=DIR --corpus-root manifest=CLIPS.csv        auxiliary corpora: speakers and genders alone
    .. --variant shares                                                      emotions of 5 to 100 % of the speakers known
    .. --variant speakers --corpus-root manifest=CLIPS.csv                   by the number of auxiliary speakers, 0 to 65
    .. --variant alpha (or beta)                                             by the weights of the losses
    .. --variant paper                                                       the paper's optimizer

Protocols: ten folds of clips with every actor in each, and six folds of four actors. The paper did not use RAVDESS;
recipes/aae_emodb.py says why the default optimizer is another than the paper's.
"""

from aae import TEN, main, more_speakers, shares, systems, weights
from aae_emodb import COUNTS, OURS
from aspmtl_ravdess import ACTORS, EMOTION

from keras_ser.cli.recipe_script import flat

VARIANTS = {
    "ravdess": systems("aae_ravdess", "ravdess", EMOTION, (TEN, ACTORS), **OURS),
    "shares": shares("aae_ravdess_shares", "ravdess", EMOTION, ACTORS, **OURS),
    "speakers": more_speakers("aae_ravdess", "ravdess", EMOTION, COUNTS, "manifest", protocols=(TEN, ACTORS), **OURS),
    **weights("aae_ravdess", "ravdess", EMOTION, protocols=(ACTORS,), **OURS),
    "paper": systems("aae_ravdess_paper", "ravdess", EMOTION, (TEN, ACTORS)),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(main(VARIANTS, __doc__))
