"""Atomic writing and the checksums within archives."""

import os

import pytest
import torch

from predcnn.files import check_zip, remove_leftovers, replacing
from predcnn.weights.files import read_pickle


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "state.ckpt"
    torch.save({"weight": torch.arange(40.0), "epoch": 3}, path)
    return path


def test_an_intact_file_passes(checkpoint):
    check_zip(checkpoint)
    assert read_pickle(checkpoint)["epoch"] == 3


def test_a_flipped_bit_is_an_error_or_harmless(checkpoint):
    content, messages = checkpoint.read_bytes(), []
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        checkpoint.write_bytes(damaged)
        try:
            state = read_pickle(checkpoint)
        except ValueError as error:
            messages.append(str(error))
        else:  # padding, or the time in a header
            assert torch.equal(state["weight"], torch.arange(40.0))
            assert state["epoch"] == 3
    assert len(messages) > 20
    assert all("damaged" in message for message in messages)


@pytest.mark.parametrize("length", [0, 1, 100, -1, -30, -200])
def test_a_truncated_file_is_an_error(checkpoint, length):
    checkpoint.write_bytes(checkpoint.read_bytes()[:length])
    for check in (check_zip, read_pickle):
        with pytest.raises(ValueError, match="damaged"):
            check(checkpoint)


def test_damaged_weights_are_an_error(checkpoint):
    content = checkpoint.read_bytes()
    place = content.index(torch.arange(40.0).numpy().tobytes()[100:140])
    checkpoint.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    for check in (check_zip, read_pickle):
        with pytest.raises(ValueError, match=r"does not match its checksum|Bad CRC"):
            check(checkpoint)


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    pid = os.fork()
    if not pid:
        with replacing(tmp_path / "folder/a.csv") as temporary:
            temporary.write_text("half")
            os._exit(0)
    os.waitpid(pid, 0)
    (tmp_path / "folder/.part_of_the_user").write_text("kept")
    assert len(list((tmp_path / "folder").iterdir())) == 2
    remove_leftovers(tmp_path)
    assert [p.name for p in (tmp_path / "folder").iterdir()] == [".part_of_the_user"]


def test_a_name_as_long_as_a_file_system_allows(tmp_path):
    path = tmp_path / ("x" * 250 + ".json")
    with replacing(path) as temporary:
        temporary.write_text("{}")
    assert path.read_text() == "{}"
