"""AAE-MTL across corpora: train on IEMOCAP, select the epoch on 30 % of MSP-IMPROV's speakers, and test on the others.

    python recipes/aae_cross_corpus.py --corpus-root MSP-IMPROV --corpus-root iemocap=IEMOCAP_full_release
    .. --corpus-root librispeech=LIBRISPEECH                                 speakers and genders only, see recipes/aae.py

There are four emotions, and the system is that of table 4 of the paper, the adversarial autoencoder with three tasks. The paper
does not say how it splits 30 and 70 %: here four of twelve speakers select the epoch, and none of them is tested.
"""

from aae import main, percent, systems
from aspmtl_iemocap import EMOTION

from keras_ser.cli.recipe_script import flat
from keras_ser.cli.tables import Paper
from keras_ser.corpora.iemocap import FOUR_EMOTIONS
from keras_ser.recipe import Stream
from keras_ser.splits import Protocol

CROSS = Protocol("cross-corpus", "cross-corpus", validation=0.3)
VARIANTS = {
    "msp_improv": systems(
        "aae_cross_corpus",
        "msp_improv",
        EMOTION,
        (CROSS,),
        corpus_options=(("emotions", EMOTION.labels),),
        streams=(
            Stream("tested"),
            Stream("iemocap", corpus="iemocap", teaches=True, options=(("emotions", FOUR_EMOTIONS),)),
        ),
    )
}
PAPERS = {
    "msp_improv": Paper(
        "Latif et al., table 4: IEMOCAP to MSP-IMPROV, mean of ten repeats",
        by_protocol={
            CROSS.name: {
                "aae": {"uar": percent(46.41, 0.32)},
                "Attentive CNN [106]": {"uar": percent(45.76)},
                "Conditional GAN [109]": {"uar": percent(45.4)},
                "CycleGAN-DNN [108]": {"uar": percent(46.52, 0.43)},
            }
        },
    )
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(main(VARIANTS, __doc__, PAPERS))
