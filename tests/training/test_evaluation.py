import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, recall_score, top_k_accuracy_score
from torch import nn

from imprint_bench.core.neural_collapse import nc1
from imprint_bench.errors import DataError
from imprint_bench.fixed.heads.fixed import FixedPrototypeHead
from imprint_bench.training.evaluation import evaluate, features_of, frequency_groups
from imprint_bench.training.history import History
from imprint_bench.training.preparation import Normalization
from imprint_bench.training.trainer import Trained
from imprint_bench.training.training_data import InMemoryData

C = 10


def trained(seed=0, assignment="static"):
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, C))
    nn.init.normal_(network[2].weight, generator=torch.Generator().manual_seed(seed))
    head = FixedPrototypeHead(np.eye(C), assignment={assignment: {"initial": "random"}})
    return Trained(
        network, head, Normalization((0.5,), (0.2,)), History(), 0.0, torch.device("cpu")
    )


def data(n=700, counts=None, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(C), counts) if counts is not None else rng.integers(0, C, n)
    return InMemoryData(rng.integers(0, 256, (len(labels), 4, 3, 1), dtype=np.uint8), labels)


def test_accuracies_are_those_of_scikit_learn_with_the_assignment_in_force():
    made, test = trained(), data()
    result = evaluate(made, data(seed=1), test)
    x = (torch.from_numpy(test.images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.2
    z = nn.functional.normalize(made.network.eval()(x).detach(), dim=1).numpy()
    scores = z[:, made.head.assignment.numpy()]  # prototypes are the axes
    chosen = scores.argmax(1)
    assert result.accuracy == pytest.approx(accuracy_score(test.labels, chosen))
    assert result.accuracy_top5 == pytest.approx(top_k_accuracy_score(test.labels, scores, k=5))
    expected = recall_score(test.labels, chosen, average=None)
    assert list(result.class_accuracy) == pytest.approx(expected.tolist())
    assert result.nc1_test == pytest.approx(nc1(z, test.labels), rel=1e-4)


def test_the_network_is_tested_in_evaluation_mode_and_not_changed():
    made, test = trained(), data()
    before = {k: v.clone() for k, v in made.network.state_dict().items()}
    made.network.train()
    evaluate(made, test, test)
    assert all(torch.equal(before[k], v) for k, v in made.network.state_dict().items())


def test_features_are_those_of_the_rows_in_their_order():
    made, test = trained(), data()
    rows = np.array([3, 1, 600])
    assert torch.allclose(features_of(made, test, rows), features_of(made, test)[rows], atol=1e-5)


def test_groups_of_the_long_tail_are_those_of_the_tables():
    counts = np.array([int(500 * 0.01 ** (k / 99)) for k in range(100)])
    groups = frequency_groups(counts)
    assert [len(g) for g in groups.values()] == [36, 35, 29]
    assert groups["many"].tolist() == list(range(36))
    assert groups["few"].tolist() == list(range(71, 100))


def test_groups_go_by_the_number_of_images_not_by_the_number_of_the_class():
    groups = frequency_groups(np.array([1, 5, 5, 9, 2, 2, 8, 7, 0, 6]))
    assert {name: g.tolist() for name, g in groups.items()} == {
        "many": [3, 6, 7],
        "medium": [9, 1, 2, 4],
        "few": [5, 0, 8],
    }


def test_balanced_classes_have_no_groups():
    result = evaluate(trained(), data(counts=[5] * C), data())
    assert (result.accuracy_many, result.accuracy_medium, result.accuracy_few) == (None,) * 3


def test_the_accuracy_of_a_group_is_the_mean_of_its_classes():
    counts = np.arange(C, 0, -1)
    result = evaluate(trained(), data(counts=counts), data(n=150))
    by_class = np.array(result.class_accuracy)
    assert result.accuracy_many == pytest.approx(by_class[:3].mean())
    assert result.accuracy_medium == pytest.approx(by_class[3:7].mean())
    assert result.accuracy_few == pytest.approx(by_class[7:].mean())


def test_a_class_without_test_images_has_no_accuracy_and_spoils_no_group():
    counts = np.arange(C, 0, -1)
    result = evaluate(trained(), data(counts=counts), data(counts=[4] * 9 + [0]))
    assert math.isnan(result.class_accuracy[9])
    assert result.accuracy_few == pytest.approx(np.mean(result.class_accuracy[7:9]))
    assert result.plain()["class_accuracy"][:9] == list(result.class_accuracy[:9])


def test_test_labels_without_a_class_and_other_shapes_are_refused():
    made, train = trained(), data()
    with pytest.raises(DataError, match="label 10; the head has 10 classes, from 0 to 9"):
        evaluate(made, train, InMemoryData(train.images, train.labels + 1))
    with pytest.raises(DataError, match=r"images of shape \(3, 4, 1\); expected \(4, 3, 1\)"):
        evaluate(made, train, InMemoryData(train.images.transpose(0, 2, 1, 3), train.labels))
