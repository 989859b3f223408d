"""A published checkpoint becomes ours and runs through evaluate and predict."""

import json

import pytest
import torch

import predcnn
from predcnn.app.evaluate import evaluate
from predcnn.app.import_weights import import_weights
from predcnn.app.predict import predict
from tests.app.test_train import command_cfg

SIZE = ("model.net.hid_S=4", "model.net.hid_T=16", "model.net.N_T=2", "data.height=32")


@pytest.fixture
def published(tmp_path):
    """A Lightning checkpoint in OpenSTL's spelling, and the predictor it holds."""
    torch.manual_seed(3)
    ours = predcnn.create_predictor(
        "simvp", in_shape=(10, 1, 32, 32), translator="van", hid_S=4, hid_T=16, N_T=2
    ).eval()
    state = predcnn.export_openstl_state_dict(ours)
    path = tmp_path / "published.ckpt"
    torch.save({"state_dict": {f"model.{key}": value for key, value in state.items()}}, path)
    return path, ours


def test_imported_weights_evaluate_and_draw(published, tmp_path):
    path, ours = published
    small = ("data.source=embedded", "data.test_sequences=2", "data.batch_size=2")
    import_weights(
        command_cfg("import_weights", f"weights={path}", "translator=van", *SIZE, *small)
    )
    imported = tmp_path / "published.safetensors"
    again = predcnn.load_predictor(imported)
    past = torch.rand(1, 10, 1, 32, 32)
    assert torch.equal(again(past), ours(past))

    evaluate(command_cfg("evaluate", f"ckpt_path={imported}", f"output={tmp_path}/out"))
    found = json.loads((tmp_path / "out/results_published_test.json").read_text())
    assert set(found["metrics"]) == {"mse", "mae", "ssim", "ssim_openstl", "psnr"}
    assert found["data"]["sequences"]["test"] == 2
    words = (f"ckpt_path={imported}", f"output={tmp_path}/out", "sequences=1", "formats=[png]")
    predict(command_cfg("predict", *words))
    assert (tmp_path / "out/sequence_000.png").exists()


def test_the_wrong_translator_is_named_key_by_key(published):
    path, _ = published
    with pytest.raises(ValueError, match="missing"):
        import_weights(command_cfg("import_weights", f"weights={path}", "translator=vit", *SIZE))
    assert not path.with_suffix(".safetensors").exists()
