"""Metrics of complete batches compared with loops over single frames."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from predcnn.metrics import structural_similarity
from predcnn.metrics.lpips import perceptual_distance
from scripts.dev.speed.comparing import Comparison
from tests.reference.frame_metrics import skimage_ssim

SEQUENCES, FRAMES, SIDE = 100, 10, 64


def _videos(channels: int) -> tuple[Tensor, Tensor]:
    """Predictions and targets; a tenth of the sequences starts from black frames."""
    torch.manual_seed(0)
    target = torch.rand(SEQUENCES, FRAMES, channels, SIDE, SIDE)
    target[::FRAMES] = 0
    return (target + 0.1 * torch.randn_like(target)).clamp(0, 1), target


def _ssim(channels: int) -> Comparison:
    """The published loop converts nothing; here both sides score in float64."""
    pred, target = _videos(channels)

    def frame_by_frame() -> Tensor:
        pairs = (video.flatten(0, 1).numpy() for video in (pred, target))
        return torch.from_numpy(skimage_ssim(*pairs, data_range=1.0)).view(SEQUENCES, FRAMES)

    return Comparison(
        f"SSIM, {SEQUENCES}x{FRAMES} frames of {channels}x{SIDE}x{SIDE}",
        lambda: structural_similarity(pred, target),
        frame_by_frame,
        tolerance=1e-6,
    )


def _lpips() -> Comparison:
    """The distance network with random features: its cost does not depend on their values."""
    import lpips

    torch.manual_seed(0)
    network: nn.Module = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    pred, target = (video[:10] for video in _videos(1))

    @torch.no_grad()
    def frame_by_frame() -> Tensor:
        pairs = zip(pred.flatten(0, 1), target.flatten(0, 1), strict=True)
        wide = ((2 * x.repeat(3, 1, 1)[None] - 1 for x in pair) for pair in pairs)
        return torch.stack([network(x, y).flatten()[0] for x, y in wide]).view(-1, FRAMES)

    batched = torch.no_grad()(lambda: perceptual_distance(network, pred, target))
    return Comparison("LPIPS, 10x10 frames of 1x64x64", batched, frame_by_frame)


_CASES: dict[str, Callable[[], Comparison]] = {
    "ssim 1": lambda: _ssim(1),
    "ssim 3": lambda: _ssim(3),
    "lpips": _lpips,
}


def cases(wanted: Callable[[str], bool]) -> Iterator[Comparison]:
    """SSIM of grey and colour frames, LPIPS."""
    yield from (build() for name, build in _CASES.items() if wanted(name))
