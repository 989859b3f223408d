"""A folder of clips as a data set: windows, splits, and that nothing depends on who asks."""

import hashlib
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from predcnn.data import create_datamodule, to_float
from predcnn.data.sequences import windows_in_rounds
from tests.data.clips import CARPHONE, moving_square, write_frames, write_video
from tests.data.presets import preset

SMALL = {"frames_in": 3, "frames_out": 2, "height": 16, "batch_size": 2, "num_workers": 0}


def folder_of(root: Path, **options: object):
    return create_datamodule("video_folder", root=root, **{**SMALL, **options})


@pytest.fixture
def tiffs():
    return pytest.importorskip("tifffile")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Five clips of every kind, told apart by their shade."""
    root = tmp_path_factory.mktemp("clips")
    write_video(root / "a.avi", moving_square(20))
    (root / "sub").mkdir()
    write_video(root / "sub/b.mp4", moving_square(16, shade=60), "mp4v")
    write_frames(root / "c", moving_square(12, shade=120))
    np.save(root / "d.npy", moving_square(14, shade=20))
    np.savez(root / "e.npz", x=moving_square(10, shade=250)[None].transpose(0, 1, 4, 2, 3))
    return root


def test_any_mixture_of_clips_makes_windows(clips):
    module = folder_of(clips)
    splits = {name: module.split(name) for name in ("train", "val", "test")}
    names = {split: {clip.name for clip in data._clips} for split, data in splits.items()}
    assert set.union(*names.values()) == {"a.avi", "sub/b.mp4", "c", "d.npy", "e.npz:x[0]"}
    assert sum(map(len, names.values())) == 5, "a clip is in two splits"
    total = sum(count - 4 for count in (20, 16, 12, 14, 10))
    assert sum(map(len, splits.values())) == total
    for data in splits.values():
        batch = data.batch(0, [0, len(data) - 1])
        assert (batch.shape, batch.dtype) == ((2, 5, 3, 16, 16), torch.uint8)
    assert module.in_shape == (3, 3, 16, 16)
    assert module.description["clips"] == "5, 72 frames"
    assert module.description["range"] == "0..255"


def test_windows_are_the_frames_of_the_clip(tmp_path):
    frames = moving_square(30, 16, 16)
    np.save(tmp_path / "a.npy", frames)
    data = folder_of(tmp_path, protocol="by_time", stride=4, frame_step=2).split("train")
    span, ends = 9, 30 - 9 - 9
    starts = range(0, ends - span + 1, 4)
    assert len(data) == len(starts)
    want = [frames[at : at + span : 2].transpose(0, 3, 1, 2) for at in starts]
    for epoch in (0, 1, 5):
        found = data.batch(epoch, range(len(data))).numpy()
        assert sorted(w.tobytes() for w in found) == sorted(w.tobytes() for w in want)


def test_splits_by_time_share_no_frame(tmp_path):
    np.save(
        tmp_path / "a.npy", np.arange(60, dtype=np.uint8)[:, None, None].repeat(16, 1).repeat(16, 2)
    )
    module = folder_of(tmp_path, protocol="by_time", channels=1, fit="cut")
    shown = {
        name: set(module.split(name).batch(0, range(len(module.split(name)))).unique().tolist())
        for name in ("train", "val", "test")
    }
    assert max(shown["train"]) < min(shown["val"]) <= max(shown["val"]) < min(shown["test"])
    assert set.union(*shown.values()) == set(range(60))


def test_folders_named_after_the_splits_are_the_splits(tmp_path):
    for split, shade in (("train", 10), ("val", 20), ("test", 30)):
        write_frames(tmp_path / split / "walk", moving_square(9, shade=shade))
    module = folder_of(tmp_path)
    for split in ("train", "val", "test"):
        assert {clip.name for clip in module.split(split)._clips} == {f"{split}/walk"}


def test_every_window_comes_equally_often():
    windows, each = 11, np.arange(7)
    seen = np.concatenate([windows_in_rounds(0, e, each, 7, windows) for e in range(windows)])
    assert np.bincount(seen).tolist() == [7] * windows
    assert len(set(seen[:windows].tolist())) == windows
    assert not np.array_equal(seen[:windows], seen[windows : 2 * windows])


def test_val_and_test_are_spread_and_always_the_same(clips):
    few = folder_of(clips, val_sequences=3, seed=1).split("val")
    every = folder_of(clips, seed=2).split("val")
    assert len(few) == 3
    assert torch.equal(few.batch(0, [0, 2]), every.batch(4, [0, len(every) - 1]))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_pickles_and_the_cache_change_nothing(clips):
    def names(**options):
        loader = folder_of(clips, **options).train_dataloader()
        return [hashlib.md5(batch.numpy()).hexdigest() for batch in loader]

    assert names() == names(num_workers=2) == names(cache_mb=0)
    data = folder_of(clips).split("train")
    before = data.batch(3, [1, 4])
    assert torch.equal(pickle.loads(pickle.dumps(data)).batch(3, [1, 4]), before)


def test_the_cache_is_bounded(clips):
    data = folder_of(clips, cache_mb=0).split("train")
    data.batch(0, range(6))
    assert not data._cache
    frame = 3 * 16 * 16
    data = folder_of(clips, cache_mb=1, height=512).split("train")
    data.batch(0, range(6))
    assert 0 < len(data._cache) <= (1 << 20) // (frame * 32**2)


def test_the_fingerprint_covers_options_files_and_seed(clips, tmp_path):
    again = shutil.copytree(clips, tmp_path / "again")
    first = folder_of(clips).fingerprint
    assert folder_of(again).fingerprint == first
    for options in ({"stride": 2}, {"fit": "stretch"}, {"seed": 5}, {"eval_seed": 9}):
        assert folder_of(clips, **options).fingerprint != first, options
    write_frames(again / "c", moving_square(12, shade=121))
    assert folder_of(again).fingerprint != first


def test_shapes_channels_and_fits(tmp_path):
    ramp = np.tile(np.arange(40, dtype=np.uint8), (20, 1))
    np.save(tmp_path / "a.npy", np.stack([ramp] * 30)[..., None])
    options = {"protocol": "by_time", "height": 10, "width": 10}
    rgb = folder_of(tmp_path, **options).split("val").batch(0, [0])[0, 0]
    assert (rgb[0] == rgb[2]).all()
    grey = {
        fit: folder_of(tmp_path, channels=1, fit=fit, **options).split("val").batch(0, [0])[0, 0, 0]
        for fit in ("crop", "stretch", "cut")
    }
    assert grey["cut"][0].tolist() == list(range(15, 25))
    assert grey["stretch"][0].tolist() == pytest.approx([1.5 + 4 * i for i in range(10)], abs=0.5)
    assert grey["crop"][0].tolist() == pytest.approx([10.5 + 2 * i for i in range(10)], abs=0.5)


def test_floats_stay_floats_and_any_number_of_channels_passes(tmp_path):
    values = np.random.default_rng(0).random((4, 8, 2, 12, 12))
    np.save(tmp_path / "flow.npy", values)
    module = folder_of(tmp_path, channels=2, height=12)
    batch = module.split("train").batch(0, [0])
    assert batch.dtype == torch.float32
    assert any(np.allclose(batch[0], v[at : at + 5]) for v in values for at in range(4))
    assert module.description["range"] == "0..1"
    with pytest.raises(ValueError, match="has 2 channels, 3 are wanted"):
        folder_of(tmp_path).split("train")


def test_bytes_and_floats_together_are_an_error(tmp_path):
    np.save(tmp_path / "a.npy", moving_square(20, 16, 16))
    np.save(tmp_path / "b.npy", moving_square(20, 16, 16) / 255)
    module = folder_of(tmp_path, protocol="by_time")
    with pytest.raises(ValueError, match=r"several ranges .*0\.\.255 as a\.npy; 0\.\.1 as b\.npy"):
        module.split("val")


def test_unusable_clips_are_named_and_left_out_or_an_error(clips, tmp_path, caplog):
    root = shutil.copytree(clips, tmp_path / "clips")
    (root / "torn.mp4").write_bytes(CARPHONE.read_bytes()[:9000])
    np.save(root / "brief.npy", moving_square(4))
    module = folder_of(root)
    assert "brief.npy has 4 frames, a window needs 5" in module.description["clips"]
    assert "left out: torn.mp4 cannot be opened" in caplog.text
    assert module.description["clips"].startswith("5, 72 frames; left out")
    reports = {report.path.name: str(report) for report in module.family.prepare()}
    assert "left out: has 4 frames" in reports["brief.npy"]
    assert "20 frames 32x24x3, values 0..255" in reports["a.avi"]
    size = sum(path.stat().st_size for path in (root / "c").iterdir())
    assert f"{size:,} bytes" in reports["c"]
    with pytest.raises(ValueError, match=r"data.strict=true and 2 clips .*brief\.npy"):
        folder_of(root, strict=True).split("train")


def test_windows_with_a_cut_can_be_skipped(tmp_path):
    frames = np.concatenate([moving_square(15), 255 - moving_square(15)])
    write_video(tmp_path / "a.avi", frames)
    options = {"protocol": "by_time", "channels": 1}
    kept, skipped = (
        folder_of(tmp_path, cuts=cuts, **options).split("train") for cuts in ("keep", "skip")
    )
    cut = 15
    across = [at for _, at in kept._windows.tolist() if at < cut < at + 5]
    assert len(across) == 4
    assert [w for w in kept._windows.tolist() if w[1] not in across] == skipped._windows.tolist()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"root": ""}, TypeError, "data.root"),
        ({"fit": "squeeze"}, ValueError, "no data.fit 'squeeze'"),
        ({"protocol": "by_clips"}, ValueError, "did you mean by_clip"),
        ({"cuts": "drop"}, ValueError, "no data.cuts"),
        ({"stride": 0}, ValueError, "data.stride is a whole number, at least 1"),
        ({"val_share": 1.5}, ValueError, "data.val_share is a number above 0 and below 1"),
        ({"val_share": 0.6, "test_share": 0.4}, ValueError, "nothing to train on"),
        ({"striide": 3}, TypeError, "did you mean data.stride"),
        ({"strict": "yes"}, ValueError, "data.strict is true or false"),
        ({"root": "/no/such"}, FileNotFoundError, "no file or folder /no/such"),
        ({"fit": "cut", "height": 500}, ValueError, "too few to cut 500x500"),
        ({"frames_in": 900}, ValueError, "no usable clip under .* a window needs 902"),
    ],
)
def test_wrong_options_are_one_sentence(clips, options, error, message):
    with pytest.raises(error, match=message):
        create_datamodule("video_folder", **{"root": clips, **SMALL, **options}).split("train")


def test_too_few_clips_to_split_suggest_by_time(tmp_path):
    write_video(tmp_path / "a.avi", moving_square(20))
    with pytest.raises(ValueError, match=r"three usable clips.*data.protocol=by_time"):
        folder_of(tmp_path).split("train")


def test_names_decide_the_splits(tmp_path):
    for number in range(6):
        np.save(tmp_path / f"p{number}.npy", moving_square(8, shade=30 * number))
    module = folder_of(tmp_path, split={"train": ["0-2", "p5*"], "test": "p[34].npy"})
    named = {name: {c.name for c in module.split(name)._clips} for name in ("train", "val", "test")}
    assert named["test"] == {"p3.npy", "p4.npy"}
    assert named["train"] | named["val"] == {f"p{n}.npy" for n in (0, 1, 2, 5)}
    assert len(named["val"]) == 1
    assert module.protocol == "data.split"
    with pytest.raises(ValueError, match=r"p1\.npy is in train and in test"):
        folder_of(tmp_path, split={"train": "p*", "test": "1"}).split("train")


def test_images_of_one_folder_are_told_apart_by_name(tmp_path):
    for i in range(4):
        frames = moving_square(8 + i, 16, 16, shade=60 * i)
        write_frames(tmp_path / "flat", frames, stem=f"seq{i}_")
    (tmp_path / "flat/notes7.txt").write_text("no image")
    module = folder_of(tmp_path, split={"train": ["*0", "*1"], "val": "*/seq2", "test": "3"})
    assert [len(module.split(name)) for name in ("train", "val", "test")] == [4 + 5, 6, 7]
    (clip,) = {clip.name for clip in module.split("test")._clips}
    assert clip == "flat/seq3"
    window = module.split("test").batch(0, [6])[0].numpy()
    assert np.array_equal(window, moving_square(11, 16, 16, shade=180)[6:].transpose(0, 3, 1, 2))


def test_windows_need_not_overlap_nor_cross_missing_numbers(tmp_path):
    for name in ("walk/a", "run/b"):
        write_frames(tmp_path / name, moving_square(24))
        (tmp_path / name / "frame9.png").unlink()
    options = {"split": {"train": "walk/*", "test": "run/*"}, "stride": {"run/*": 2, "*": None}}
    module = folder_of(tmp_path, cuts="skip", val_sequences=1, **options)
    test = [at for _, at in module.split("test")._windows.tolist()]
    assert test == [0, 2, 4, 9, 11, 13, 15, 17]
    train = [at for _, at in module.split("train")._windows.tolist()]
    assert train == [0, 9]
    with pytest.raises(ValueError, match=r"data\.stride has no pattern for run/b"):
        folder_of(tmp_path, **{**options, "stride": {"walk/*": 1}}).split("test")


def test_tiff_stacks_and_float_images_are_clips(tmp_path, tiffs):
    for kind in ("floats", "bytes", "deep"):
        (tmp_path / kind / "single").mkdir(parents=True)
    grey = moving_square(20, 16, 16)[..., 0]
    floats = grey.astype(np.float32) / 255
    floats[0, 0, 0], floats[3, 0, 0] = -1e-4, 1.0005
    for kind, frames in (("floats", floats), ("bytes", grey), ("deep", grey.astype("u2") * 257)):
        tiffs.imwrite(tmp_path / kind / "stack.tif", frames, photometric="minisblack")
        for t, frame in enumerate(frames):
            tiffs.imwrite(tmp_path / kind / f"single/{t}.tif", frame)
    ranges = {"floats": "0..1, 4 values rounded into it", "bytes": "0..255", "deep": "0..65535"}
    for kind, text in ranges.items():
        parts = {"train": "st*", "test": "si*"}
        module = folder_of(tmp_path / kind, channels=1, split=parts)
        assert module.description["clips"] == "2, 40 frames"
        assert module.description["range"] == text
        assert len(module.split("test")) == 16
        found = to_float(module.split("test").batch(0, [0]))[0, :, 0]
        want = floats.clip(0, 1) if kind == "floats" else grey / 255
        np.testing.assert_allclose(found, want[:5], atol=1e-6)


def test_images_of_twelve_bits_have_a_range_of_their_own(tmp_path):
    cv2 = pytest.importorskip("cv2")
    for name in "abc":
        (tmp_path / name).mkdir()
        for t in range(9):
            frame = np.full((16, 16), 4095 if t else 819, np.uint16)
            cv2.imwrite(str(tmp_path / name / f"{t}.png"), frame)
    module = folder_of(tmp_path, channels=1, range=[0, 4095])
    assert module.description["range"] == "0..4095"
    values = module.split("train").batch(0, range(5)).unique()
    np.testing.assert_allclose(values, [0.2, 1], atol=1e-6)
    plain = folder_of(tmp_path, channels=1)
    assert plain.description["range"] == "0..65535"
    assert plain.fingerprint != module.fingerprint
    with pytest.raises(ValueError, match=r"value 4095 above data\.range=\[0,1000\]"):
        folder_of(tmp_path, channels=1, range=[0, 1000]).split("train").batch(0, [0])
    with pytest.raises(ValueError, match="numbers of other ranges need data=array"):
        folder_of(tmp_path, range=[10, 4095])


def test_numbers_of_another_range_are_not_left_out(clips, tmp_path):
    root = shutil.copytree(clips, tmp_path / "clips")
    np.save(root / "rain.npy", np.full((20, 24, 32), 60.0))
    with pytest.raises(ValueError, match=r"rain\.npy has float64 values.*data\.range.*minmax"):
        folder_of(root).setup()
    (root / "rain.npy").unlink()
    with pytest.raises(ValueError, match="is for 16-bit images, and none"):
        folder_of(root, range=[0, 4095]).setup()


def test_a_file_that_vanishes_is_named(clips, tmp_path):
    root = shutil.copytree(clips, tmp_path / "clips")
    data = folder_of(root).split("train")
    for name in ("a.avi", "d.npy", "sub/b.mp4"):
        (root / name).unlink()
    shutil.rmtree(root / "c")
    data._cache.clear()
    with pytest.raises(ValueError, match="changed since it was indexed"):
        data.batch(0, range(len(data)))


def test_a_run_of_the_opencv_reader_is_told_apart(clips, tmp_path):
    from predcnn.app.build import description
    from predcnn.app.run_directory import check_state
    from tests.app.test_train import command_cfg

    module = folder_of(clips)
    cfg = command_cfg("train", "data=video_folder", f"data.root={clips}", f"run_dir={tmp_path}")
    now = description(cfg, module)
    assert (now["data_reader"], now["data_fingerprint"]) == ("PyAV 1", module.fingerprint)
    old = {key: value for key, value in now.items() if key != "data_reader"}
    network = SimpleNamespace(config={"name": "copy_last"})
    for run, message in (
        (old | {"data_fingerprint": "0" * 64}, "the run read its clips with OpenCV"),
        (now | {"data_fingerprint": "0" * 64}, "or start a new run$"),
    ):
        about = {"config": network.config, "run": run}
        torch.save({"predcnn": about, "loops": {}, "global_step": 1}, tmp_path / "last.ckpt")
        with pytest.raises(ValueError, match=message):
            check_state(tmp_path / "last.ckpt", network, module)


def test_the_preset_of_kth_divides_persons(tmp_path):
    for person in (1, 9, 16, 17, 25):
        for action in ("boxing", "running"):
            folder = tmp_path / action / f"person{person:02}_{action}_d1_uncomp"
            write_frames(folder, moving_square(63, 30, 40), ".jpg", stem="image_")
            (folder / "image_30.jpg").unlink()
    module = preset("kth", tmp_path, "data.test_sequences=null")
    assert (module.in_shape, module.frames_out) == ((10, 1, 128, 128), 20)
    assert module.description["data"] == "kth"
    starts = [(module.split("test")._clips[i].name[:3], at)
              for i, at in module.split("test")._windows.tolist()]  # fmt: skip
    assert starts == 2 * [("box", 0), ("box", 30)] + 2 * [("run", 0), ("run", 30)]
    persons = {clip.name.split("person")[1][:2] for clip in module.split("train")._clips}
    assert persons <= {"01", "09", "16"}


def test_the_preset_of_human36m_takes_the_windows_of_its_lists(tmp_path):
    frames, folder = moving_square(30, 32, 32), tmp_path / "images"
    for name in ("S1_Walking.54138969_", "S9_Walking_1.55011271_"):
        write_frames(folder, frames, ".png", stem=name, numbers=range(1, 151, 5))
    lines = [f"images/S1_Walking.54138969_,{first},{first + 70}" for first in (1, 26, 51)]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "test.txt").write_text("images/S9_Walking_1.55011271_,6,76\n")
    every = ("data.train_sequences=null", "data.test_sequences=null")
    module = preset("human36m", tmp_path, "data.height=32", *every)
    assert module.in_shape == (4, 3, 32, 32)
    assert [len(module.split(name)) for name in ("train", "val", "test")] == [2, 1, 1]
    found = module.split("test").batch(0, [0])[0].numpy()
    assert np.array_equal(found, frames[1:9].transpose(0, 3, 1, 2))
    (tmp_path / "test.txt").write_text("images/S9_Eating.55011271_,6,76\n")
    with pytest.raises(ValueError, match="lists images/S9_Eating"):
        preset("human36m", tmp_path).split("test")


def test_the_preset_of_kitti_and_caltech_reads_folders(tmp_path):
    for place in ("train/city_a", "train/road_b", "val/city_c", "test/set06_V000"):
        write_frames(tmp_path / place, moving_square(25, 60, 100))
    every = ("data.train_sequences=null", "data.test_sequences=null")
    module = preset("kitti_caltech", tmp_path, *every)
    assert (module.in_shape, module.frames_out) == ((10, 3, 128, 160), 1)
    assert [len(module.split(name)) for name in ("train", "val", "test")] == [4, 2, 2]


def test_a_preset_says_where_its_files_come_from(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"kth_action\.zip of https"):
        preset("kth", tmp_path / "missing").setup()
