"""Files are whole or not there, and an archive knows when it has changed."""

import os

import pytest
import torch

from predcnn.files import check_seal, remove_leftovers, replacing, seal


@pytest.fixture
def sealed(tmp_path):
    path = tmp_path / "state.ckpt"
    torch.save({"weight": torch.arange(40.0), "epoch": 3}, path)
    seal(path)
    return path


def test_a_sealed_file_is_read_like_any_other(sealed):
    assert check_seal(sealed)
    assert torch.load(sealed, weights_only=True)["epoch"] == 3


def test_every_flipped_bit_is_noticed(sealed):
    content = sealed.read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        sealed.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            check_seal(sealed)
    for place in range(len(content) - 101, len(content)):  # the seal itself
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        sealed.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            check_seal(sealed)


def test_what_nobody_sealed_is_not_called_damaged(sealed, tmp_path):
    torch.save([1], tmp_path / "other.pt")
    assert not check_seal(tmp_path / "other.pt")
    sealed.write_bytes(sealed.read_bytes()[:-1])  # the reader of the archive says what is wrong
    assert not check_seal(sealed)
    (tmp_path / "empty").write_bytes(b"")
    assert not check_seal(tmp_path / "empty")


def test_what_was_not_written_whole_is_not_sealed(tmp_path):
    path = tmp_path / "state.ckpt"
    torch.save({"weight": torch.arange(400.0)}, path)
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    with pytest.raises(ValueError, match="not written whole"):
        seal(path)
    place = content.index(torch.arange(400.0).numpy().tobytes()[100:140])
    path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    with pytest.raises(ValueError, match="not written as it should be"):
        seal(path)


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
