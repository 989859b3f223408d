"""Parameters and multiply–adds of every preset compared with the authors' code."""

import pytest
import torch

import predcnn

# millions of parameters, billions of multiply–adds, image size; counted with the authors' code
COUNTED = {
    "van_b0": (4.11, 0.86, 224),
    "van_b1": (13.86, 2.50, 224),
    "van_b2": (26.58, 4.99, 224),
    "van_b3": (44.77, 8.93, 224),
    "van_b4": (60.28, 12.14, 224),
    "van_b5": (89.97, 17.13, 224),
    "van_b6": (199.83, 38.71, 224),
    "hornet_tiny_7x7": (22.41, 3.97, 224),
    "hornet_tiny_gf": (22.99, 3.89, 224),
    "hornet_small_7x7": (49.53, 8.81, 224),
    "hornet_small_gf": (50.40, 8.69, 224),
    "hornet_base_7x7": (87.26, 15.57, 224),
    "hornet_base_gf": (88.42, 15.41, 224),
    "hornet_large_7x7": (194.54, 34.80, 224),
    "hornet_large_gf": (196.29, 34.56, 224),
    "replknet_31b": (79.86, 15.43, 224),
    "replknet_31l": (172.67, 96.33, 384),  # 172.17, 95.99 with the small kernels merged
    "replknet_xl": (335.44, 128.73, 320),
    "slak_tiny": (50.70, 8.70, 224),
    "slak_small": (91.13, 16.60, 224),
    "slak_base": (157.95, 28.51, 224),
    "unireplknet_a": (4.65, 0.67, 224),
    "unireplknet_f": (6.49, 0.95, 224),
    "unireplknet_p": (11.08, 1.63, 224),
    "unireplknet_n": (18.82, 2.85, 224),
    "unireplknet_t": (31.69, 5.00, 224),
    "unireplknet_s": (56.46, 9.22, 224),
    "unireplknet_b": (99.09, 16.22, 224),
    "unireplknet_l": (220.08, 36.13, 224),
    "unireplknet_xl": (388.69, 63.90, 224),
    "internimage_t": (29.92, 4.79, 224),
    "internimage_s": (50.08, 8.17, 224),
    "internimage_b": (97.46, 16.00, 224),
    "internimage_l": (223.33, 106.89, 384),
    "internimage_xl": (334.82, 161.80, 384),
    "flashinternimage_t": (29.82, 4.77, 224),
    "flashinternimage_s": (50.07, 8.18, 224),
    "flashinternimage_b": (97.45, 16.01, 224),
    "flashinternimage_l": (223.30, 106.92, 384),
    "uniformer_small": (21.55, 3.63, 224),
    "uniformer_small_plus": (24.03, 4.20, 224),
    "uniformer_base": (49.78, 8.25, 224),
    "vmamba_tiny": (30.25, 4.88, 224),
    "vmamba_small": (49.01, 8.57, 224),
    "vmamba_base": (86.61, 15.16, 224),
    "vmamba_v0_tiny": (22.89, 5.60, 224),
    "vmamba_v0_small": (44.42, 11.18, 224),
    "vmamba_v0_base": (76.25, 17.95, 224),
}
# published only (the repository's README); xtiny and tiny have references of their own
PUBLISHED = {
    "moganet_xtiny": (2.97, 0.80, 224),
    "moganet_tiny": (5.20, 1.10, 224),
    "moganet_small": (25.3, 4.97, 224),
    "moganet_base": (43.9, 9.93, 224),
    "moganet_large": (82.5, 15.9, 224),
    "moganet_xlarge": (180.8, 34.5, 224),
}
QUICK = ("moganet_xtiny", "van_b0", "unireplknet_a", "slak_tiny", "hornet_tiny_gf")
SIZES = COUNTED | PUBLISHED


def test_every_preset_has_a_reference_count():
    assert set(SIZES) == set(predcnn.list_backbones())


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in SIZES]
)
def test_size(name):
    params, macs, size = SIZES[name]
    with torch.device("meta"):  # shapes alone: nothing is allocated or computed
        profile = predcnn.profile(predcnn.create_backbone(name), (3, size, size))
    exact = name in COUNTED
    assert profile.params / 1e6 == pytest.approx(
        params, **{"abs": 0.006} if exact else {"rel": 6e-3}
    )
    assert profile.macs / 1e9 == pytest.approx(macs, rel=1e-2 if exact else 2.5e-2, abs=0.005)


def test_options_of_published_networks_without_a_name():
    sizes = {
        "vmamba_tiny": ({"ssm_ratio": 2.0, "depths": (2, 2, 5, 2)}, 30.71, 4.82),
        "uniformer_small_plus": ({"head_dim": 64}, 24.03, 4.20),
    }
    for name, (options, params, macs) in sizes.items():
        with torch.device("meta"):
            profile = predcnn.profile(predcnn.create_backbone(name, **options), (3, 224, 224))
        assert profile.params / 1e6 == pytest.approx(params, abs=0.006)
        assert profile.macs / 1e9 == pytest.approx(macs, rel=1e-2)
