"""A small twin of CREMA-D: its layout, and the rows that the published tables have for these actors and clips."""

from pathlib import Path

from tests import corpora_on_disk as disk

NAMES = (
    "1001_IEO_ANG_HI",
    "1001_IEO_FEA_LO",
    "1001_DFA_NEU_XX",
    "1002_TIE_DIS_XX",
    "1002_IEO_SAD_MD",
    "1064_IOM_HAP_XX",
    "1076_MTI_SAD_XX",
    "1076_MTI_NEU_XX",
)
DEMOGRAPHICS = (
    '"ActorID","Age","Sex","Race","Ethnicity"\n'
    '1001,51,"Male","Caucasian","Not Hispanic"\n'
    '1002,21,"Female","Caucasian","Not Hispanic"\n'
    '1064,30,"Male","Unknown","Hispanic"\n'
    '1076,70,"Female","African American","Not Hispanic"\n'
)
VOTES = (
    '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'
    '"1","1001_IEO_ANG_HI","A","70.1","A:D","61:50","A","80"\n'
    '"2","1001_IEO_FEA_LO","N","71","F","57","F","57.38"\n'
    '"3","1001_DFA_NEU_XX","N","67.71","N","62.62","N","56.56"\n'
    '"4","1002_TIE_DIS_XX","N:S","63.5","D","68.25","D:F:N","73.2"\n'
    '"5","1002_IEO_SAD_MD","S","73.71","N","73.5","N","74.8"\n'
    '"6","1064_IOM_HAP_XX","H","42.12","H","82.44","H","72.33"\n'
    '"7","1076_MTI_SAD_XX","A:N","59.8","A:S","61","A:S","59.12"\n'
    '"8","1076_MTI_NEU_XX","D","59.8","S","61","S","59.12"\n'
)


def write_crema_d(root: Path, suffix: str = ".wav", votes: bool = True) -> Path:
    """Eight clips of four actors, the one without speech among them."""
    disk.write_named(root, NAMES, suffix, lambda name: "AudioWAV")
    (root / "VideoDemographics.csv").write_text(DEMOGRAPHICS)
    if votes:
        (root / "processedResults").mkdir(exist_ok=True)
        (root / "processedResults" / "summaryTable.csv").write_text(VOTES)
    return root
