"""The weights that ship with the package."""

import pytest

import predcnn
from predcnn.weights import pretrained


def test_an_unknown_name_suggests_the_closest(monkeypatch, tmp_path):
    predictor = predcnn.create_predictor("copy_last", in_shape=(4, 1, 32, 32))
    predcnn.save_pretrained(predictor, tmp_path / "copy_last_blobs")
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    assert predcnn.list_pretrained() == ["pretrained/copy_last_blobs"]
    assert predcnn.load_predictor("pretrained/copy_last_blobs").config == predictor.config
    with pytest.raises(FileNotFoundError, match="did you mean pretrained/copy_last_blobs"):
        predcnn.load_predictor("pretrained/copy_last_blob")
