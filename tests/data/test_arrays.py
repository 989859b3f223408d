"""Arrays of numbers: what is read, how it is divided, how it is scaled."""

import sys
from pathlib import Path

import numpy as np
import pytest

from predcnn.data import create_datamodule
from predcnn.data.scale import Scale, fit_scale
from tests.data.presets import preset

FRAMES = {"frames_in": 4, "frames_out": 4}


def blobs(n: int, t: int, c: int = 1, size: int = 32, seed: int = 0) -> np.ndarray:
    """Blobs that move over a torus, float32 (N, T, C, H, W) in [0, 1]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    out = np.zeros((n, t, c, size, size), np.float32)
    for i in range(n):
        start, step = random.random(2) * size, random.random(2) * 3 - 1.5
        for k in range(t):
            top, left = (start + step * k) % size
            out[i, k] = np.exp(-((y - top) ** 2 + (x - left) ** 2) / (size / 4) ** 2)
    return out


def opened(root: Path, **options: object):
    return create_datamodule("array", root=str(root), **{**FRAMES, **options})


def write_npy(folder: Path, data: np.ndarray) -> None:
    np.save(folder / "a.npy", data)


def write_npz(folder: Path, data: np.ndarray) -> None:
    np.savez(folder / "a.npz", rain=data, time=np.arange(4))


def write_hdf5(folder: Path, data: np.ndarray) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        file["group/rain"], file["time"] = data, np.arange(4)


def write_zarr(folder: Path, data: np.ndarray) -> None:
    zarr = pytest.importorskip("zarr")
    zarr.open(str(folder / "a.zarr"), mode="w", shape=data.shape, dtype=data.dtype)[:] = data


def write_netcdf(folder: Path, data: np.ndarray) -> None:
    xarray = pytest.importorskip("xarray")
    dims = ("sample", "time", "band", "lat", "lon")
    xarray.Dataset({"rain": (dims, data)}).to_netcdf(folder / "a.nc", engine="h5netcdf")


def write_labelled_zarr(folder: Path, data: np.ndarray) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("zarr")
    dims = ("sample", "time", "band", "lat", "lon")
    xarray.Dataset({"rain": (dims, data)}).to_zarr(folder / "a.zarr", consolidated=False)


def write_stacks(folder: Path, data: np.ndarray) -> None:
    tifffile = pytest.importorskip("tifffile")
    for i, frames in enumerate(data):
        tifffile.imwrite(folder / f"s{i}.tif", frames[:, 0], photometric="minisblack")


def write_pages(folder: Path, data: np.ndarray) -> None:
    tifffile = pytest.importorskip("tifffile")
    for i, frames in enumerate(data):
        with tifffile.TiffWriter(folder / f"s{i}.tif") as file:
            for frame in frames[:, 0]:
                file.write(frame, photometric="minisblack")


def write_frames(folder: Path, data: np.ndarray) -> None:
    tifffile = pytest.importorskip("tifffile")
    for i, frames in enumerate(data):
        for t, frame in enumerate(frames[:, 0]):
            tifffile.imwrite(folder / f"seq{i}_{t}.tif", frame)


WRITERS = [write_npy, write_npz, write_hdf5, write_zarr, write_netcdf, write_labelled_zarr,
           write_stacks, write_pages, write_frames]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_the_numbers_that_were_written(tmp_path, write):
    data = 250 + 60 * blobs(6, 24)
    write(tmp_path, data)
    module = opened(tmp_path)
    family = module.family
    assert module.in_shape == (4, 1, 32, 32)
    assert len(family.catalogue.recordings) == 6
    assert {len(module.split(name)) for name in ("val", "test")} == {17}
    seen = family.scale.undo(module.split("test").batch(0, range(17)).numpy())
    (number,) = [i for i in range(6) if np.allclose(data[i, :8], seen[0], atol=1e-3)]
    for start in range(17):
        np.testing.assert_allclose(seen[start], data[number, start : start + 8], atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((6, 53, 3, 40, 40), "NTCHW"),
        ((6, 53, 40, 48, 3), "NTHWC"),
        ((6, 53, 5, 40, 40), "NTCHW"),
        ((6, 53, 20, 32, 64), "NTCHW"),
        ((6, 53, 16, 32, 10), "NTHWC"),
        ((6, 53, 40, 16, 32), "NTCHW|NTHWC"),
        ((40, 5, 16, 16), "TCHW|TNHW"),
        ((40, 16, 18, 8), "THWC|NTHW|TNHW"),
        ((20, 100, 16, 16), "NTHW|TNHW"),
        ((8, 53, 16, 16), "NTHW|TNHW"),
        ((6, 53, 16, 16), "NTHW"),
        ((100, 2, 16, 16), "TCHW"),
        ((100, 16, 18, 3), "THWC"),
        ((20, 16, 16), "THW"),
        ((4, 16, 16), "THW"),
        ((7, 5, 16, 16), ""),
    ],
    ids=str,
)
def test_a_layout_is_inferred_or_the_candidates_are_named(tmp_path, shape, layout):
    write_npy(tmp_path, np.random.default_rng(0).random(shape, np.float32))
    if "|" in layout or not layout:
        with pytest.raises(ValueError, match=r"set data[.]layout") as error:
            opened(tmp_path).in_shape  # noqa: B018
        assert all(name in str(error.value) for name in layout.split("|"))
    else:
        assert opened(tmp_path).family.catalogue.layouts == (layout,)


@pytest.mark.skipif(sys.platform != "linux", reason="counts mapped pages in /proc")
def test_a_file_larger_than_memory_leaves_no_page_mapped(tmp_path):
    shape = (200_000, 64, 64)  # 3.3 GB, sparse
    np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, shape).flush()

    def resident() -> int:
        text = Path("/proc/self/status").read_text()
        return int(text.partition("RssFile:")[2].split()[0])  # kB

    train, before = opened(tmp_path, range=[0, 1], stride=1000).split("train"), resident()
    for index in range(100):
        assert train.batch(0, [index]).shape == (1, 8, 1, 64, 64)
    assert resident() - before < 2_000  # 100 windows map 13 MB


def test_a_given_layout_decides(tmp_path):
    data = blobs(6, 24)[:, :, 0]
    write_npy(tmp_path, np.swapaxes(data, 0, 1))
    module = opened(tmp_path, layout="TNHW")
    assert len(module.family.catalogue.recordings) == 6
    first = module.family.catalogue.recordings[2].read(3, 9, 2)
    np.testing.assert_array_equal(first, data[2, 3:9:2, None])


def test_variables_become_channels_with_names_and_units(tmp_path):
    xarray = pytest.importorskip("xarray")
    data, axes = blobs(5, 24, 2), ("time", "lat", "lon")
    for i in range(5):
        u = (axes, 5 * data[i, :, 0] - 2, {"units": "m/s"})
        content = xarray.Dataset(
            {"u": u, "v": (axes, data[i, :, 1])}, {"lat": np.linspace(-80, 80, 32)}
        )
        content.to_netcdf(tmp_path / f"wind_{1979 + i}.nc", engine="h5netcdf")
    split = {"train": "1979-1981", "val": "1982", "test": "*1983*"}
    family = opened(tmp_path, variables=["u", "v"], split=split).family
    assert (family.catalogue.channels, family.catalogue.units) == (("u", "v"), ("m/s", ""))
    assert list(family.catalogue.coords) == ["H"]
    parts = family._divided[1]
    assert [len(parts[name]) for name in ("train", "val", "test")] == [3, 1, 1]
    assert parts["test"][0].recording.name == "wind_1983.nc"
    assert family.scale.low == pytest.approx((-2, 0), abs=1e-6)
    with pytest.raises(ValueError, match=r"variables=\[…\]"):
        opened(tmp_path).family.catalogue  # noqa: B018
    with pytest.raises(ValueError, match="did you mean u"):
        opened(tmp_path, variables=["U"]).family.catalogue  # noqa: B018


def test_variables_in_files_of_their_own_meet_by_year(tmp_path):
    for year in range(1979, 1983):
        np.savez(tmp_path / f"wind_{year}.npz", u=blobs(1, 24, seed=year)[0, :, 0])
        np.savez(tmp_path / f"temperature_{year}.npz", t=blobs(1, 24, seed=year)[0, :, 0])
        np.savez(tmp_path / f"pressure_{year}.npz", p=blobs(1, 24, seed=year)[0, :, 0])
    catalogue = opened(tmp_path, variables=["u", "t"]).family.catalogue
    recordings = catalogue.recordings
    assert catalogue.passed_over == ("p",)
    assert [r.number for r in recordings] == [1979, 1980, 1981, 1982]
    frames = recordings[1].read(0, 24)
    np.testing.assert_array_equal(frames[:, 0], frames[:, 1])
    with pytest.raises(ValueError, match=r"data\.variables 'w'; accepted: p, t, u"):
        opened(tmp_path, variables=["u", "t", "w"]).in_shape  # noqa: B018


def test_variables_of_different_grids_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", u=np.zeros((24, 32, 32)), v=np.zeros((24, 16, 32)))
    with pytest.raises(ValueError, match="different grids"):
        opened(tmp_path, variables=["u", "v"]).in_shape  # noqa: B018


@pytest.mark.parametrize("where", ["dimension", "file"])
def test_variables_at_other_coordinates_are_refused(tmp_path, where):
    xarray = pytest.importorskip("xarray")
    values, files = blobs(1, 40)[0, :, 0], []
    for name, shift in (("u", 0.0), ("v", 0.5)):
        lat = "lat" if where == "file" else f"lat_{name}"
        dims, coords = ("time", lat, "lon"), {lat: np.arange(32) + shift, "lon": np.arange(32)}
        files.append(xarray.Dataset({name: (dims, values)}, coords))
    if where == "dimension":
        files = [xarray.merge(files)]
    for i, content in enumerate(files):
        content.to_netcdf(tmp_path / f"{'uv'[i]}_2010.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"different grids: u has lat\w* 0 .. 31, v has .* 0.5 .."):
        opened(tmp_path, variables=["u", "v"]).in_shape  # noqa: B018


def test_several_stacks_of_a_tiff_have_names(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    data = blobs(2, 40)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for frames, length in zip(data, (40, 30), strict=True):
            file.write(frames[:length, 0], photometric="minisblack")
    with pytest.raises(ValueError, match=r"series0 \(40, 32, 32\), series1 \(30, 32, 32\): choose"):
        opened(tmp_path).in_shape  # noqa: B018
    (found,) = opened(tmp_path, variables=["series1"]).family.catalogue.recordings
    np.testing.assert_array_equal(found.read(3, 30), data[1, 3:30])


def test_past_and_future_arrays_are_joined(tmp_path):
    data = 2 * blobs(6, 8, 2) - 1
    parts = {"X_train": data[:, :4], "Y_train": data[:, 4:], "X_test": data[:2, :4],
             "Y_test": data[:2, 4:]}  # fmt: skip
    np.savez(tmp_path / "dataset.npz", **parts)
    split = {"train": "X_train+Y_train", "test": "X_test+Y_test"}
    module = opened(tmp_path, range=[-1, 1], split=split)
    assert [len(module.split(name)) for name in ("train", "val", "test")] == [5, 1, 2]
    seen = module.split("test").batch(0, [1])[0].numpy()
    np.testing.assert_allclose(seen, (data[1] + 1) / 2, atol=1e-6)


def test_windows_never_cross_sequences_of_unequal_lengths(tmp_path):
    for i, length in enumerate((8, 9, 40, 7)):
        np.save(tmp_path / f"s{i}.npy", np.full((length, 8, 8), i, np.float32))
    split = {"train": ["s0*", "s1*", "s3*"], "val": "s2*", "test": "s2*"}
    with pytest.raises(ValueError, match="in val and in test"):
        opened(tmp_path, split=split).split("train")
    module = opened(tmp_path, split={**split, "val": "s0*", "train": ["s1*", "s3*"]}, range=[0, 9])
    assert [len(module.split(name)) for name in ("train", "val", "test")] == [2, 1, 33]
    windows = 9 * module.split("train").batch(0, [0, 1])
    assert all(len(window.unique()) == 1 for window in windows)


def test_one_long_sequence_is_divided_by_time(tmp_path):
    write_npy(tmp_path, np.arange(100, dtype=np.float32)[:, None, None] * np.ones((8, 8)))
    module = opened(tmp_path, normalize="none")
    seen = {name: {int(x) for x in module.split(name).batch(0, range(len(module.split(name))))
                   .unique()} for name in ("train", "val", "test")}  # fmt: skip
    assert max(seen["train"]) < min(seen["val"])
    assert max(seen["val"]) < min(seen["test"])
    assert sum(map(len, seen.values())) == 100


def test_a_scale_is_fitted_to_the_training_part_alone(tmp_path):
    for name, factor in (("train", 60), ("val", 90), ("test", 120)):
        (tmp_path / name).mkdir()
        write_npy(tmp_path / name, factor * blobs(1, 24)[0, :, 0])
    module = opened(tmp_path)
    assert module.family.scale.span[0] == pytest.approx(60, rel=1e-3)
    assert float(module.split("test").batch(0, range(17)).max()) == pytest.approx(2, rel=1e-2)
    again = opened(tmp_path, scale=module.family.found["scale"])
    assert again.fingerprint == module.fingerprint


@pytest.mark.parametrize(
    ("data", "scale"),
    [
        (blobs(4, 24)[:, :, 0], "range: value 0 .. 1"),
        (blobs(4, 24)[:, :, 0] * 1.0005 - 1e-4, "range: value 0 .. 1"),
        ((blobs(4, 24)[:, :, 0] > 0.5).astype(np.uint8), "range: value 0 .. 255"),
        (blobs(4, 24)[:, :, 0] > 0.5, "range: value 0 .. 1"),
        ((4000 * blobs(4, 24)[:, :, 0]).astype(np.uint16), "minmax: value 0 .. 39"),
        (5.3 * blobs(4, 24)[:, :, 0], "minmax: value"),
    ],
    ids=["unit", "rounding", "uint8", "bool", "uint16", "wind"],
)
def test_the_type_decides_or_a_fit(tmp_path, data, scale):
    write_npy(tmp_path, data)
    assert str(opened(tmp_path).family.scale).startswith(scale)


def test_values_outside_the_range_by_rounding_are_counted(tmp_path):
    data = blobs(4, 24)[:, :, 0]
    data[:, 0, 0, 0], data[:, 3, 0, 0] = -1e-4, 1.0005
    write_npy(tmp_path, data)
    facts = opened(tmp_path, protocol="by_time").family.facts
    assert facts["scale"] == "range: value 0 .. 1, 8 values outside it by rounding"


def test_types_are_not_mixed(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((24, 8, 8), np.uint8))
    np.save(tmp_path / "b.npy", np.zeros((24, 8, 8), np.float32))
    with pytest.raises(ValueError, match="mix"):
        opened(tmp_path).setup()


@pytest.mark.parametrize("kind", ["minmax", "standard", "log1p", "none"])
def test_scales_are_undone(kind):
    data = np.stack([250 + 60 * blobs(1, 9)[0, :, 0], 5 * blobs(1, 9, seed=2)[0, :, 0]], 1)
    data[2, 0, :3] = np.nan
    if kind == "none":
        scale = Scale(kind, (0, 0), (1, 1), ("a", "b"), ("K", ""))
    else:
        scale = fit_scale(kind, [data[:3], data[3:]], ("a", "b"), ("K", ""))
    scaled = scale.apply(data)
    np.testing.assert_allclose(scale.undo(scaled), data, rtol=1e-5, atol=1e-4)
    assert Scale.from_dict(scale.as_dict()) == scale
    if kind == "standard":
        assert np.nanmean(scaled, (0, 2, 3)) == pytest.approx([0, 0], abs=1e-4)
        assert np.nanstd(scaled, (0, 2, 3)) == pytest.approx([1, 1], abs=1e-4)
    elif kind != "none":
        assert (np.nanmin(scaled), np.nanmax(scaled)) == pytest.approx((0, 1), abs=1e-5)


def test_missing_values_are_nan_and_do_not_enter_the_scale(tmp_path):
    data = 5 * blobs(4, 24)[:, :, 0]
    data[:, :, :4] = -999
    write_npy(tmp_path, data)
    module = opened(tmp_path, mask=-999)
    assert module.family.scale.low[0] >= 0
    batch = module.split("train").batch(0, [0])
    assert batch[..., :4, :].isnan().all()
    assert not batch[..., 4:, :].isnan().any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "NTXY"}, "data.layout"),
        ({"normalize": "minmx"}, "did you mean minmax"),
        ({"range": [1, 0]}, "data.range"),
        ({"range": [0, 1], "normalize": "minmax"}, "exclude each other"),
        ({"split": {"train": "a"}}, "train and test"),
        ({"split": {"train": "b*", "test": "a*"}}, "matches none"),
        ({"targets": ["rian"]}, "did you mean"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_wrong_options_are_errors(tmp_path, options, message):
    write_npz(tmp_path, 5 * blobs(4, 24)[:, :, 0])

    def open_all() -> None:
        module = opened(tmp_path, **options)
        assert module.description
        module.setup()

    with pytest.raises(ValueError, match=message):
        open_all()


def test_a_damaged_or_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no array file"):
        opened(tmp_path).in_shape  # noqa: B018
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(ValueError, match="cannot be read"):
        opened(tmp_path).in_shape  # noqa: B018


def test_the_preset_of_taxibj_reads_openstls_file(tmp_path):
    parts = {f"{part}_{split}": np.full((n, 4, 2, 32, 32), value, np.float32)
             for split, n in (("train", 20), ("test", 3))
             for part, value in (("X", -1), ("Y", 0.5))}  # fmt: skip
    np.savez(tmp_path / "dataset.npz", **parts)
    module = preset("taxibj", tmp_path / "dataset.npz", "data.test_sequences=null")
    assert module.in_shape == (4, 2, 32, 32)
    assert module.family.name == "taxibj"
    batch = module.split("test").batch(0, range(3))
    assert batch.shape == (3, 8, 2, 32, 32)
    assert batch[:, :4].unique().tolist() == [0]
    assert batch[:, 4:].unique().tolist() == [0.75]


def test_the_preset_of_weatherbench_divides_by_year(tmp_path):
    xarray = pytest.importorskip("xarray")
    random = np.random.default_rng(0)
    coords = {"lat": np.linspace(-87, 87, 32), "lon": np.arange(64) * 5.625}
    for year in range(2009, 2019):
        values = random.normal(280, 10, (30, 32, 64)).astype(np.float32)
        field = (("time", "lat", "lon"), values, {"units": "K"})
        name = f"2m_temperature_{year}_5.625deg.nc"
        xarray.Dataset({"t2m": field}, coords).to_netcdf(tmp_path / name, engine="h5netcdf")
    module = preset("weatherbench", tmp_path, "data.train_sequences=null")
    parts = module.family._divided[1]
    years = {name: [s.recording.number for s in found] for name, found in parts.items()}
    assert years == {"train": [*range(2010, 2016)], "val": [2016], "test": [2017, 2018]}
    assert module.in_shape == (12, 1, 32, 64)
    assert (module.units.names, module.units.scale.units) == (["t2m"], ("K",))
    assert module.units.scale.kind == "standard"
    assert module.units.coords["H"].shape == (32,)


def test_the_preset_of_sevir_reads_openstls_files(tmp_path):
    h5py = pytest.importorskip("h5py")
    for name, count in (("training", 12), ("testing", 2)):
        with h5py.File(tmp_path / f"vil_{name}.h5", "w") as file:
            file["IN"] = np.full((count, 8, 9, 13), 33, np.uint8)
            file["OUT"] = np.arange(12, dtype=np.uint8) * np.ones((count, 8, 9, 1), np.uint8)
    module = preset("sevir_vil", tmp_path, "data.test_sequences=null")
    assert module.in_shape == (13, 1, 8, 9)
    assert len(module.split("test")) == 2
    frames = module.units.scale.undo(module.split("test").batch(0, [1]))[0, :, 0, 3, 4]
    np.testing.assert_allclose(frames, [33] * 13 + [*range(12)], atol=1e-4)
