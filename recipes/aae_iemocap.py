"""AAE-MTL on IEMOCAP: 5531 utterances of anger, happiness (with excited), neutral, sadness; 10 speakers.

    python recipes/aae_iemocap.py --corpus-root IEMOCAP_full_release --corpus-root librispeech=LIBRISPEECH
    .. --variant activation (or valence)                                     three levels: [1, 2], (2, 3.5], (3.5, 5]
    .. --variant clusters-3 (or clusters-5)                                  k-means of valence and activation
    .. --variant speakers --corpus-root librispeech=DIR                      figure 4: 0 to 600 auxiliary speakers
    .. --variant alpha (or beta)                                             figure 5

Protocols: ten folds of clips with every speaker in each, and leave one speaker out (the next speaker selects the epoch; the paper
says "five-fold" without defining the folds). Its figures (tables 3, 5 and 6) are means over ten repeats, here ten seeds. The
paper's auxiliary corpus is LibriSpeech with 600 speakers: --aux-speakers 600.
"""

from aae import SPEAKERS, TEN, clusters, levels, main, more_speakers, of_levels, systems, weights

from keras_ser.cli.recipe_script import flat
from keras_ser.cli.tables import Paper
from keras_ser.tasks import Task

EMOTION = Task("emotion", ("anger", "happiness", "neutral", "sadness"), merge={"excited": "happiness"})
OPTIONS = (("emotions", ("anger", "happiness", "excited", "neutral", "sadness")),)
PAPER = Paper(
    "Latif et al., tables 3 and 5: IEMOCAP, means of ten repeats",
    by_protocol={
        TEN.name: {"cnn": {"uar": 0.656}, "ae": {"uar": 0.664}, "aae": {"uar": 0.688}},
        SPEAKERS.name: {
            "aae-single": {"uar": 0.645},
            "aae": {"uar": 0.667, "accuracy": 0.685},
            "aae-gender": {"uar": 0.661, "accuracy": 0.675},
            "aae-speaker": {"uar": 0.659, "accuracy": 0.672},
        },
    },
)
VARIANTS = {
    "iemocap": systems("aae_iemocap", "iemocap", EMOTION, corpus_options=OPTIONS),
    "activation": levels("activation", "iemocap", "arousal", (2.0, 3.5), corpus_options=OPTIONS),
    "valence": levels("valence", "iemocap", "valence", (2.0, 3.5), corpus_options=OPTIONS),
    "clusters-3": clusters(3, "iemocap", corpus_options=OPTIONS),
    "clusters-5": clusters(5, "iemocap", corpus_options=OPTIONS),
    "speakers": more_speakers(
        "aae_iemocap", "iemocap", EMOTION, (0, 100, 200, 300, 400, 500, 600), corpus_options=OPTIONS
    ),
    **weights("aae_iemocap", "iemocap", EMOTION, corpus_options=OPTIONS),
}
PAPERS = {
    "iemocap": PAPER,
    "activation": of_levels("IEMOCAP", 0.645, 0.626, 0.637),
    "valence": of_levels("IEMOCAP", 0.622, 0.614, 0.608),
    "clusters-3": of_levels("IEMOCAP", 0.651, 0.657, 0.648),
    "clusters-5": of_levels("IEMOCAP", 0.551, 0.532, 0.542),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(main(VARIANTS, __doc__, PAPERS))
