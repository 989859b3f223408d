"""Write fields of a temperature that wind carries along: python examples/advection.py FOLDER.

Sixty netCDF files, each 40 frames of 32x32 points on a torus, with a wind of its own; the equation
dT/dt = -u dT/dx - v dT/dy + k (d2T/dx2 + d2T/dy2) is solved exactly, wave by wave.
"""

import argparse
from pathlib import Path

import numpy as np
import xarray

SIZE, FRAMES, FILES = 32, 40, 60
DIFFUSION = 0.02  # grid lengths squared per frame
FASTEST = 1.5  # grid lengths per frame


def field(random: np.random.Generator) -> np.ndarray:
    """Return one solution, float32 (FRAMES, SIZE, SIZE) in kelvin."""
    waves = 2 * np.pi * np.fft.fftfreq(SIZE)
    ky, kx = np.meshgrid(waves, waves, indexing="ij")
    spectrum = np.fft.fft2(random.standard_normal((SIZE, SIZE)))
    spectrum *= np.exp(-8 * (kx**2 + ky**2))  # smooth at the start
    spectrum *= 8 / np.fft.ifft2(spectrum).real.std()
    u, v = random.uniform(-FASTEST, FASTEST, 2)
    rate = -1j * (u * kx + v * ky) - DIFFUSION * (kx**2 + ky**2)
    frames = [np.fft.ifft2(spectrum * np.exp(rate * t)).real for t in range(FRAMES)]
    return (285 + np.stack(frames)).astype(np.float32)


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    coords = {"y": np.arange(SIZE) * 10.0, "x": np.arange(SIZE) * 10.0}
    for number in range(FILES):
        variable = (("time", "y", "x"), field(random), {"units": "K"})
        dataset = xarray.Dataset({"temperature": variable}, coords)
        dataset.to_netcdf(folder / f"field_{number:02d}.nc", engine="h5netcdf")


if __name__ == "__main__":
    main()
