from tests.evaluation.conftest import arousal, emotion, gender, make_table

__all__ = ["arousal", "emotion", "gender", "make_table"]
