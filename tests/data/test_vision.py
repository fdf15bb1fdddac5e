import subprocess
import sys

import pytest

from imprint_bench.data.networks import vision


def test_torchvision_and_its_models_can_be_imported():
    program = (
        "from imprint_bench.data.networks.vision import torchvision\n"
        "import torch\n"
        "model = torchvision().models.squeezenet1_1()\n"
        "assert torchvision().transforms.Resize(4) and torchvision().datasets.MNIST\n"
        "assert model.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_schemas_are_declared_only_for_the_known_failure(monkeypatch):
    vision.torchvision.cache_clear()
    declared, answers = [], [RuntimeError(vision.MISSING_OPERATOR), "the module"]

    def importing(name):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(vision.importlib, "import_module", importing)
    monkeypatch.setattr(vision, "_declare_schemas", lambda: declared.append(1))
    assert vision.torchvision() == "the module"
    assert declared == [1]

    vision.torchvision.cache_clear()
    answers[:] = ["the module"]
    assert vision.torchvision() == "the module"
    assert declared == [1]

    vision.torchvision.cache_clear()
    answers[:] = [RuntimeError("operator torchvision::roi_align does not exist")]
    with pytest.raises(RuntimeError, match="roi_align"):
        vision.torchvision()
    vision.torchvision.cache_clear()
