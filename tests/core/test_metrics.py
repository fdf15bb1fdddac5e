import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from imprint_bench.core.metrics import quality


def test_quality_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 5, 300)
    y_pred = np.where(rng.random(300) < 0.6, y_true, rng.integers(0, 5, 300))
    ours = quality(y_true, y_pred, n_classes=5)
    assert ours.accuracy == pytest.approx(accuracy_score(y_true, y_pred), abs=1e-15)
    np.testing.assert_allclose(ours.f1, f1_score(y_true, y_pred, average=None), atol=1e-15)
    assert ours.f1_macro == pytest.approx(f1_score(y_true, y_pred, average="macro"), abs=1e-15)
    weighted = f1_score(y_true, y_pred, average="weighted")
    assert ours.f1_weighted == pytest.approx(weighted, abs=1e-15)


def test_a_class_that_is_neither_present_nor_predicted_has_f1_zero():
    assert quality(np.array([0, 1]), np.array([0, 1]), n_classes=3).f1 == (1.0, 1.0, 0.0)
