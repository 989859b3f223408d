"""Arguments of the public functions that cannot be meant."""

import math

import numpy as np
import pytest
import torch

import predcnn
from predcnn.data import create_datamodule, to_float
from predcnn.metrics import video_metrics
from predcnn.visual import write_gif, write_video
from tests.hostile.harness import refused

SHAPE = (2, 1, 8, 8)
TINY = {"translator": "convnext", "hid_S": 2, "hid_T": 4, "N_S": 2, "N_T": 2, "mlp_ratio": 1.0}

PREDICTORS = {
    "an unknown name": (("simvq", {}), "did you mean simvp"),
    "no name": ((None, {}), "named by a string"),
    "a number": ((3, {}), "named by a string"),
    "a list": ((["simvp"], {}), "named by a string"),
    "an empty name": (("", {}), "accepted"),
    "a name in capitals": (("SimVP", {}), "accepted"),
    "a dot": ((".", {}), "."),
    "a module that is missing": (("nowhere.Net", {}), "No module named 'nowhere'"),
    "an attribute that is missing": (("math.Net", {}), "'math' has no attribute 'Net'"),
    "a function": (("math.sqrt", {}), "not a class"),
    "another class": (("collections.OrderedDict", {}), "is not a predictor"),
    "three sizes": (("simvp", {"in_shape": (2, 1, 8)}), "four positive"),
    "a size of zero": (("simvp", {"in_shape": (2, 1, 8, 0)}), "four positive"),
    "a negative size": (("simvp", {"in_shape": (2, -1, 8, 8)}), "four positive"),
    "a float size": (("simvp", {"in_shape": (2, 1, 8.0, 8)}), "four positive"),
    "a true size": (("simvp", {"in_shape": (2, True, 8, 8)}), "four positive"),
    "one number": (("simvp", {"in_shape": 8}), "four positive"),
    "text": (("simvp", {"in_shape": "8888"}), "four positive"),
    "no frames out": (("simvp", {"frames_out": 0}), "positive integer"),
    "half a frame out": (("simvp", {"frames_out": 1.5}), "positive integer"),
    "an unknown form": (("simvp", {"compat": "opnstl"}), "compat is None or 'openstl'"),
    "an option in small letters": (("simvp", {"hid_s": 2}), "did you mean hid_S"),
    "an option of others": (("simvp", {"num_hidden": [2]}), "no option 'num_hidden'"),
    "an unknown translator": (("simvp", {"translator": "van2"}), "did you mean van"),
    "no translators": (("simvp", {"translator": []}), "at least one block"),
    "a translator of None": (("simvp", {"translator": None}), "named by"),
    "too many translators": (("simvp", {"translator": ["van"] * 3}), "3 blocks do not fit a stack"),
    "a complete translator in a list": (
        ("simvp", {"translator": ["incepu"]}),
        "complete translator",
    ),
    "an odd width": (("simvp", {"hid_S": 3}), "hid_S is even"),
    "no width": (("simvp", {"hid_S": 0}), "hid_S is even"),
    "no translator width": (("simvp", {"hid_T": 0}), "."),
    "an odd number of layers": (("simvp", {"N_S": 3}), "N_S"),
    "no layers": (("simvp", {"N_S": 0}), "N_S"),
    "a stack of one": (("simvp", {"N_T": 1}), "at least 2"),
    "a negative stack": (("simvp", {"N_T": -2}), "at least 2"),
    "a drop path of two": (("simvp", {"drop_path": 2.0}), "drop"),
    "a drop path of NaN": (("simvp", {"drop_path": math.nan}), "drop"),
    "an even kernel": (("simvp", {"spatio_kernel_enc": 4}), "kernel"),
    "an option of the block": (("simvp", {"translator_options": {"sise": 1}}), "no option"),
    "patches that do not fit": (("convlstm", {"patch_size": 3}), "multiples of 3"),
    "no hidden layers": (("convlstm", {"num_hidden": []}), "num_hidden"),
}


@pytest.mark.parametrize(("given", "says"), PREDICTORS.values(), ids=PREDICTORS.keys())
def test_create_predictor(tmp_path, given, says):
    name, options = given
    words = {"in_shape": SHAPE, **(TINY if name == "simvp" else {}), **options}
    refused(lambda: predcnn.create_predictor(name, **words), says, tmp_path)


BLOCKS = {
    "an unknown name": (("vann", 8, {}), "did you mean van"),
    "a complete translator": (("incepu", 8, {}), "incepu"),
    "no channels": (("van", 0, {}), "."),
    "negative channels": (("van", -8, {}), "."),
    "channels that do not divide": (("swin", 7, {"resolution": (8, 8)}), "divisible by"),
    "a size that is missing": (("mlpmixer", 8, {}), "resolution"),
    "an unknown option": (("van", 8, {"mlp_ration": 2.0}), "did you mean mlp_ratio"),
    "another class": (("collections.Counter", 8, {}), "is not a block"),
    "a module without the protocol": (("torch.nn.Linear", 8, {}), "is not a block"),
}


@pytest.mark.parametrize(("given", "says"), BLOCKS.values(), ids=BLOCKS.keys())
def test_create_block(tmp_path, given, says):
    name, dim, options = given
    refused(lambda: predcnn.create_block(name, dim, **options), says, tmp_path)


@pytest.fixture(scope="module")
def predictor():
    return predcnn.create_predictor("simvp", in_shape=SHAPE, **TINY)


FRAMES = {
    "three axes": (torch.rand(2, 8, 8), None, "frames are"),
    "six axes": (torch.rand(1, 1, 2, 1, 8, 8), None, "frames are"),
    "three frames": (torch.rand(1, 3, 1, 8, 8), None, "frames are"),
    "colour": (torch.rand(1, 2, 3, 8, 8), None, "frames are"),
    "channels last": (torch.rand(1, 2, 8, 8, 1), None, "frames are"),
    "whole numbers": (torch.zeros(1, 2, 1, 8, 8, dtype=torch.long), None, "frames are uint8"),
    "no horizon": (torch.rand(1, 2, 1, 8, 8), 0, "positive integer"),
    "a negative horizon": (torch.rand(1, 2, 1, 8, 8), -3, "positive integer"),
    "half a horizon": (torch.rand(1, 2, 1, 8, 8), 2.5, "positive integer"),
    "a horizon of text": (torch.rand(1, 2, 1, 8, 8), "10", "positive integer"),
}


@pytest.mark.parametrize(("frames", "horizon", "says"), FRAMES.values(), ids=FRAMES.keys())
def test_predict(tmp_path, predictor, frames, horizon, says):
    refused(lambda: predictor.predict(frames, horizon), says, tmp_path)


CLIP = torch.rand(1, 2, 1, 16, 16)
NAN, INF = CLIP.clone(), CLIP.clone()
NAN[0, 1, 0, 2, 3], INF[0, 0, 0, 0, 0] = math.nan, math.inf
SCORES = {
    "an unknown metric": (("mes",), CLIP, CLIP, "did you mean mse"),
    "no metric": ((), CLIP, CLIP, "at least one"),
    "one string": ("mse", CLIP, CLIP, "a list of names"),
    "NaN predicted": (("mse",), NAN, CLIP, "1 of 512 values of pred are NaN or Inf"),
    "Inf in the truth": (("mse",), CLIP, INF, "values of target are NaN or Inf"),
    "bytes": (("mse",), CLIP.byte(), CLIP.byte(), "divide by 255"),
    "three axes": (("mse",), CLIP[0, 0], CLIP[0, 0], "expected"),
    "no sequences": (("mse",), CLIP[:0], CLIP[:0], "expected"),
    "other shapes": (("mse",), CLIP, CLIP[..., :8], "but target"),
    "frames smaller than the window": (("ssim",), CLIP[..., :4], CLIP[..., :4], "."),
}


@pytest.mark.parametrize(("names", "pred", "target", "says"), SCORES.values(), ids=SCORES.keys())
def test_metrics(tmp_path, names, pred, target, says):
    refused(lambda: video_metrics(names).update(pred, target), says, tmp_path)


BATCHES = {
    "NaN": (NAN, "finite"),
    "Inf": (INF, "finite"),
    "0..255 as floats": (CLIP * 255, "divide 0..255 by 255"),
    "negative": (CLIP - 1, "must lie in"),
    "int64": (CLIP.long(), "uint8 or floating point"),
    "truth values": (CLIP > 0, "uint8 or floating point"),
    "complex": (CLIP + 1j, "uint8 or floating point"),
}


@pytest.mark.parametrize(("frames", "says"), BATCHES.values(), ids=BATCHES.keys())
def test_to_float(tmp_path, frames, says):
    refused(lambda: to_float(frames), says, tmp_path)


DATA = {
    "an unknown set": ({"name": "moving_mnits"}, "did you mean moving_mnist"),
    "an unknown option": ({"protocl": "isolated"}, "did you mean data.protocol"),
    "an unknown protocol": ({"protocol": "isolate"}, "did you mean isolated"),
    "an unknown source": ({"source": "minst"}, "did you mean mnist"),
    "a source of two kinds": ({"source": "auto+mnist"}, "joined by"),
    "an unknown noise": ({"noise": "missign"}, "did you mean missing"),
    "no batch": ({"batch_size": 0}, "batch_size"),
    "a negative batch": ({"batch_size": -4}, "batch_size"),
    "half a batch": ({"batch_size": 1.5}, "batch_size"),
    "a true batch": ({"batch_size": True}, "batch_size"),
    "a batch of text": ({"batch_size": "16"}, "batch_size"),
    "no test batch": ({"eval_batch_size": 0}, "eval_batch_size"),
    "negative workers": ({"num_workers": -1}, "num_workers"),
    "no frames in": ({"frames_in": 0}, "frames_in is a whole number, at least 1"),
    "no frames out": ({"frames_out": 0}, "frames_out is a whole number, at least 1"),
    "no digits": ({"digits": 0}, "digits is a whole number, at least 1"),
    "an empty list of digits": ({"digits": []}, "digits is empty"),
    "a thousand digits": ({"digits": 1000}, "at most 100"),
    "digits of text": ({"digits": "two"}, "digits is a whole number"),
    "a canvas smaller than a digit": ({"height": 27}, "height is a whole number, at least 28"),
    "a negative width": ({"width": -64}, "width is a whole number, at least 28"),
    "no speed": ({"speed": 0}, "positive number"),
    "a speed of NaN": ({"speed": math.nan}, "positive number"),
    "an infinite speed": ({"speed": math.inf}, "positive number"),
    "a speed of text": ({"speed": "fast"}, "positive number"),
    "no sequences": ({"train_sequences": 0}, "train_sequences is a whole number, at least 1"),
    "half a sequence": ({"val_sequences": 1.5}, "val_sequences is a whole number"),
    "a seed of text": ({"seed": "x"}, "seed is a whole number"),
    "download of text": ({"download": "yes"}, "download is true or false"),
    "a root of a number": ({"root": 3}, "data.root is the path"),
    "another shape": ({"in_shape": (10, 3, 64, 64)}, "which determine it"),
}


@pytest.mark.parametrize(("options", "says"), DATA.values(), ids=DATA.keys())
def test_data(tmp_path, options, says):
    words = {"name": "moving_mnist", "source": "embedded", **options}
    name = words.pop("name")
    refused(lambda: create_datamodule(name, **words), says, tmp_path)


PICTURES = {
    "no frames": (torch.rand(0, 1, 8, 8), "expected"),
    "two channels": (torch.rand(2, 2, 8, 8), "2 channels"),
    "NaN": (NAN[0], "NaN or Inf"),
    "an array": (np.zeros((2, 1, 8, 8)), "."),
    "int64": (torch.zeros(2, 1, 8, 8, dtype=torch.long), "int64"),
}


@pytest.mark.parametrize(("write", "name"), [(write_gif, "a.gif"), (write_video, "a.mp4")])
@pytest.mark.parametrize(("frames", "says"), PICTURES.values(), ids=PICTURES.keys())
def test_videos(tmp_path, write, name, frames, says):
    refused(lambda: write(tmp_path / name, frames), says, tmp_path)
