"""Video predictors as subjects: which past pixels does a predicted pixel depend on, how long ahead?

The definitions are ours; those of the image tools carry over output by output.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from predcnn.analysis.subject import layers_of

LEAST_ERROR = 1e-12


class PredictorSubject:
    """A predictor, (B, T, C, H, W) -> (B, frames_out, C, H, W), with one output per lead time.

    - Receptive fields are measured at a pixel of the predicted frame, with absolute gradients: a
      past pixel that makes a predicted one darker matters as much.
    - What Grad-CAM and channel saliency explain is the brightness of the predicted frame, the sum
      over its pixels.
    - The reward of a partly hidden past is -log of the mean squared error against the true frame
      (up to a factor the PSNR).

    Args:
        leads: lead times from 1 to ``frames_out``; None: first, middle and last.
        layer: dotted name of the module whose maps are looked at; None: the encoder for Grad-CAM
            (one map per past frame), the translator for the channels.
    """

    def __init__(
        self,
        net: nn.Module,
        name: str,
        *,
        leads: Sequence[int] | None = None,
        layer: str | None = None,
    ) -> None:
        last = net.frames_out
        chosen = tuple(leads) if leads else tuple(dict.fromkeys((1, (last + 1) // 2, last)))
        wrong = [t for t in chosen if not 1 <= t <= last]
        if wrong:
            raise ValueError(f"{name} predicts lead times 1 to {last}, not {wrong}")
        self.net = net.eval()
        self.name = name
        self.leads = chosen
        self.outputs = tuple(f"+{t}" for t in chosen)
        self._layer = layer

    @property
    def seen_layer(self) -> str:
        return self._layer or self._part("encoder")

    @property
    def channel_layer(self) -> str:
        return self._layer or self._part("translator")

    def _part(self, name: str) -> str:
        if isinstance(getattr(self.net, name, None), nn.Module):
            return name
        raise ValueError(f"{self.name} has no {name}: say layer=…; {layers_of(self.net)}")

    def enter(self, clips: Tensor) -> Tensor:
        return clips

    def response(self, x: Tensor) -> Tensor:
        return self._chosen(self.net(x))

    def _chosen(self, frames: Tensor) -> Tensor:
        index = torch.tensor(self.leads, device=frames.device) - 1
        return frames.index_select(1, index)

    def magnitude(self, gradient: Tensor) -> Tensor:
        return gradient.abs()

    def target(self, x: Tensor, future: Tensor | None = None) -> Tensor:
        if future is None:
            raise ValueError(f"{self.name}: the true future frames are needed")
        return future

    def score(self, x: Tensor, target: Tensor) -> Tensor:
        return self.response(x).sum((2, 3, 4))

    def reward(self, x: Tensor, target: Tensor) -> Tensor:
        error = (self.response(x) - self._chosen(target)).square().mean((2, 3, 4))
        return -error.clamp(min=LEAST_ERROR).log()

    def maps(self, raw: Tensor, x: Tensor) -> Tensor:
        if raw.ndim != 4 or len(raw) % len(x):
            raise ValueError(
                f"{self.name}: looked at are maps (B·n, C, H, W) of B = {len(x)} sequences, not "
                f"{tuple(raw.shape)}: choose another layer"
            )
        return raw.unflatten(0, (len(x), -1))
