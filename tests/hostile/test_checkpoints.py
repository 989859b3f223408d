"""Weight files that are damaged, foreign or malicious."""

import json
import pickle
import struct
import sys
import tarfile
import zipfile

import pytest
import torch
from safetensors.torch import save_file

import predcnn
from predcnn.predictors.checkpoint import read_description
from tests.hostile.harness import Payload, refused

OPTIONS = {"translator": "convnext", "hid_S": 2, "hid_T": 4, "N_S": 2, "N_T": 2, "mlp_ratio": 1.0}


@pytest.fixture(scope="module")
def predictor():
    return predcnn.create_predictor("simvp", in_shape=(2, 1, 8, 8), **OPTIONS)


@pytest.fixture
def content(predictor) -> dict:
    state = {f"predictor.{key}": value for key, value in predictor.state_dict().items()}
    return {"state_dict": state, "predcnn": {"config": dict(predictor.config), "run": {}}}


def changed(content: dict, **config: object) -> dict:
    content["predcnn"]["config"] |= config
    return content


def without(content: dict, key: str) -> dict:
    return {k: v for k, v in content.items() if k != key}


FIRST = "predictor.decoder.readout.bias"
CONTENTS = {
    "a list": (lambda c: [c], "holds a list"),
    "a number": (lambda c: 7, "holds a int"),
    "a tensor": (lambda c: torch.zeros(3), "holds a Tensor"),
    "nothing about a predictor": (lambda c: without(c, "predcnn"), "import_weights"),
    "a description of text": (lambda c: {**c, "predcnn": "simvp"}, "import_weights"),
    "a configuration of text": (lambda c: {**c, "predcnn": {"config": "x"}}, "import_weights"),
    "no name": (lambda c: {**c, "predcnn": {"config": {"in_shape": [1]}}}, "import_weights"),
    "no weights": (lambda c: without(c, "state_dict"), "no state_dict"),
    "weights of text": (lambda c: {**c, "state_dict": "x"}, "no state_dict"),
    "numbers as keys": (lambda c: {**c, "state_dict": {1: torch.zeros(1)}}, "no state_dict|names"),
    "an empty state": (lambda c: {**c, "state_dict": {}}, "missing"),
    "numbers as weights": (lambda c: {**c, "state_dict": {FIRST: 3}}, "missing|not tensors"),
    "an unknown predictor": (lambda c: changed(c, name="simvq"), "did you mean simvp"),
    "a name of a list": (lambda c: changed(c, name=["simvp"]), "named by a string"),
    "an unknown option": (lambda c: changed(c, hid_s=3), "hid_S"),
    "an unknown translator": (lambda c: changed(c, translator="convnxt"), "did you mean convnext"),
    "a translator of numbers": (lambda c: changed(c, translator=[1, 2]), "named by a string"),
    "three numbers of a shape": (lambda c: changed(c, in_shape=[2, 1, 8]), "four positive"),
    "a negative shape": (lambda c: changed(c, in_shape=[2, 1, -8, 8]), "four positive"),
    "a shape of text": (lambda c: changed(c, in_shape="2188"), "four positive"),
    "another file": (lambda c: changed(c, translator_weights="/etc/passwd"), "names another file"),
    "a negative width": (lambda c: changed(c, hid_T=-4), "."),
    "a depth of zero": (lambda c: changed(c, N_T=0), "at least 2"),
    "weights of another width": (lambda c: changed(c, hid_S=4), "of another shape"),
    "weights of another depth": (lambda c: changed(c, N_T=3), "missing"),
    "a class of Python": (lambda c: changed(c, translator="subprocess.Popen"), "not a block"),
    "a function": (lambda c: changed(c, translator="os.system"), "not a class"),
    "another kind of predictor": (lambda c: changed(c, name="subprocess.Popen"), "not a predictor"),
    "a module nobody imported": (lambda c: changed(c, translator="antigravity.X"), "trusted=True"),
    "a predictor nobody imported": (lambda c: changed(c, name="antigravity.X"), "trusted=True"),
    "options of text": (lambda c: changed(c, translator_options="x"), "."),
}  # fmt: skip


@pytest.mark.parametrize(("change", "says"), CONTENTS.values(), ids=CONTENTS.keys())
def test_what_a_checkpoint_holds(tmp_path, content, change, says):
    path = tmp_path / "evil.ckpt"
    torch.save(change(content), path)
    refused(lambda: predcnn.load_predictor(path), says, tmp_path)
    assert "antigravity" not in sys.modules


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    place = data.index(b"in_shape")  # not in the padding between tensors
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


BYTES = {
    "empty": (lambda data: b"", "is damaged"),
    "text": (lambda data: b"hello", "is damaged"),
    "random": (lambda data: bytes(range(256)) * 9, "is damaged"),
    "cut": (cut, "is damaged"),
    "a bit flipped": (flip, "is damaged"),
    "the end only": (lambda data: data[-200:], "is damaged"),
    "a plain pickle": (lambda data: pickle.dumps([1, 2]), "cannot be read"),
}


@pytest.mark.parametrize(("damage", "says"), BYTES.values(), ids=BYTES.keys())
@pytest.mark.parametrize("reader", [predcnn.load_predictor, read_description])
def test_bytes_of_a_checkpoint(tmp_path, content, damage, says, reader):
    path = tmp_path / "damaged.ckpt"
    torch.save(content, path)
    path.write_bytes(damage(path.read_bytes()))
    refused(lambda: reader(path), says, tmp_path)


def malicious_zip(path, content, payload):
    torch.save({**content, "extra": payload}, path)


def malicious_legacy(path, content, payload):
    torch.save({**content, "extra": payload}, path, _use_new_zipfile_serialization=False)


def malicious_pickle(path, content, payload):
    path.write_bytes(pickle.dumps(payload))


def malicious_tar(path, content, payload):
    inner = path.with_name("storages")
    inner.write_bytes(pickle.dumps(payload))
    with tarfile.open(path, "w") as tar:
        tar.add(inner, "storages")
    inner.unlink()


def malicious_script(path, content, payload):
    with zipfile.ZipFile(path, "w") as archive:  # looks like TorchScript
        archive.writestr("archive/data.pkl", pickle.dumps(payload))
        archive.writestr("archive/constants.pkl", pickle.dumps(payload))
        archive.writestr("archive/code/__torch__.py", "import os")
        archive.writestr("archive/version", "6")


@pytest.mark.parametrize(
    "write",
    [malicious_zip, malicious_legacy, malicious_pickle, malicious_tar, malicious_script],
)
@pytest.mark.parametrize("reader", [predcnn.load_predictor, "openstl"])
def test_a_malicious_checkpoint_is_not_executed(tmp_path, content, predictor, write, reader):
    path = tmp_path / "evil.ckpt"
    write(path, content, Payload(tmp_path))
    if reader == "openstl":
        refused(lambda: predcnn.load_openstl_weights(predictor, path), "cannot be read", tmp_path)
    else:
        refused(lambda: reader(path), "cannot be read", tmp_path)


def test_the_payload_works_where_code_is_run(tmp_path, content):
    malicious_zip(tmp_path / "evil.ckpt", content, Payload(tmp_path))
    torch.load(tmp_path / "evil.ckpt", weights_only=False)
    assert (tmp_path / "executed").is_dir()


def framed(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def described(about: str) -> bytes:
    header = {"__metadata__": {"predcnn": about}}
    return framed(json.dumps(header).encode())


TENSORS = {
    "empty": (b"", "is damaged"),
    "seven bytes": (b"1234567", "is damaged"),
    "a header of 16 EiB": (struct.pack("<Q", 2**64 - 1) + b"{}", "is damaged"),
    "a header of 200 MB": (struct.pack("<Q", 2 * 10**8) + b"{}", "is damaged"),
    "no JSON": (framed(b"hello"), "is damaged"),
    "a list": (framed(b"[]"), "is damaged"),
    "brackets": (framed(b"[" * 100_000), "is damaged"),
    "an unknown type": (
        framed(b'{"a":{"dtype":"Q7","shape":[1],"data_offsets":[0,4]}}', bytes(4)), "is damaged",
    ),
    "offsets beyond the end": (
        framed(b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}', bytes(4)), "is damaged",
    ),
    "a shape that overflows": (
        framed(
            b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}', bytes(4)
        ),
        "is damaged",
    ),
    "a hole between tensors": (
        framed(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', bytes(8)), "is damaged",
    ),
    "a pickle": (pickle.dumps([1]), "is damaged"),
    "no description": (framed(b"{}"), "import_weights"),
    "a description that is not JSON": (described("{hello"), "description is not JSON"),
    "a description of brackets": (described("[" * 200_000), "description is not JSON"),
    "a description of text": (described('"simvp"'), "import_weights"),
    "a configuration of a list": (described('{"config": []}'), "import_weights"),
    "a shape of NaN": (
        described('{"config": {"name": "simvp", "in_shape": [NaN, 1, 8, 8]}}'), "four positive",
    ),
    "a class to build": (
        described('{"config": {"name": "os.system", "in_shape": [2, 1, 8, 8]}}'), "not a class",
    ),
    "a module to import": (
        described('{"config": {"name": "antigravity.X", "in_shape": [2, 1, 8, 8]}}'), "trusted",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "says"), TENSORS.values(), ids=TENSORS.keys())
def test_safetensors(tmp_path, data, says):
    path = tmp_path / "evil.safetensors"
    path.write_bytes(data)
    refused(lambda: predcnn.load_predictor(path), says, tmp_path)
    assert "antigravity" not in sys.modules


def test_safetensors_of_a_wrong_type_or_size(tmp_path, predictor):
    about = json.dumps({"config": predictor.config, "merged": False})
    state = {key: value.clone() for key, value in predictor.state_dict().items()}
    state["decoder.readout.bias"] = torch.zeros(7)
    save_file(state, tmp_path / "a.safetensors", metadata={"predcnn": about})
    refused(
        lambda: predcnn.load_predictor(tmp_path / "a.safetensors"), "of another shape", tmp_path
    )


PLACES = {
    "missing": ("none.ckpt", "closest there: .*good.ckpt"),
    "a folder": ("folder", "is a folder"),
    "a folder that is missing": ("nowhere/good.ckpt", "there is no folder"),
    "a link to itself": ("loop.ckpt", "loop.ckpt"),
    "a link to nothing": ("dangling.ckpt", "dangling.ckpt"),
    "a name that is too long": ("x" * 300 + ".ckpt", "x"),
    "a path that is too long": ("/".join(["x" * 200] * 30), "x"),
    "a name of another alphabet": ("ünïcödé.ckpt", "closest there"),
    "nothing": ("", "is a folder"),
    "a NUL byte": ("a\0b.ckpt", "null|no file"),
}


@pytest.mark.parametrize(("name", "says"), PLACES.values(), ids=PLACES.keys())
def test_places_without_a_checkpoint(tmp_path, name, says):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.ckpt").symlink_to("loop.ckpt")
    (tmp_path / "dangling.ckpt").symlink_to("gone.ckpt")
    torch.save([1], tmp_path / "good.ckpt")
    refused(lambda: predcnn.load_predictor(tmp_path / name), says, tmp_path)
