"""No task has the name of a layer, an input or an output that a network has beside it."""

import re

import pytest

from keras_ser.models import attention_dnn, vggvox
from keras_ser.recipe import Recipe
from keras_ser.settings import FEATURES
from keras_ser.splits import Protocol
from keras_ser.tasks import INPUTS, LAYERS, OF_A_TASK, OUTPUTS, Task
from tests.models import rows

NETWORKS = {row.name: (row.build, row.tasks) for row in rows.ROWS}
TASKS = (rows.EMOTION, rows.GENDER)
NETWORKS["attention"] = (
    lambda: attention_dnn.build(attention_dnn.Config(units=(3, 4), dropout=0.1), {"mfcc": 5, "energy": 1}, TASKS),
    TASKS,
)
NETWORKS["vggvox"] = (
    lambda: vggvox.build(
        vggvox.Config(filters=(2, 2, 2, 2, 2), fc6=3, fc7=2, dropout=0.1), {"magnitude": 256}, TASKS, frames=80
    ),
    TASKS,
)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_is_a_tasks_own_or_reserved(name):
    build, tasks = NETWORKS[name]
    network = build()
    own = {pattern.format(task.name) for task in tasks for pattern in ("{}", *OF_A_TASK)}
    for layer in network.layers:
        taken = layer.name in (*INPUTS, *OUTPUTS) or LAYERS.fullmatch(layer.name)
        assert taken or layer.name in own, f"{layer.name}: name it in keras_ser.tasks"


def test_every_feature_is_reserved():
    assert set(FEATURES) <= set(INPUTS)


def test_features_are_those_of_the_front_end():
    from keras_ser.features.frontend import FEATURES as THEIRS

    assert FEATURES == THEIRS


@pytest.mark.parametrize("pattern", OF_A_TASK)
def test_a_task_cannot_take_the_layer_of_another(pattern):
    task = Task("mood", ("a", "b"))
    other = Task(pattern.format("mood"), ("a", "b"))
    with pytest.raises(ValueError, match=re.escape(f"{other.name!r} is a layer of the task 'mood'")):
        Recipe("x", "demo", (task, other), (Protocol("p"),))
