"""Video predictors as subjects: on which past pixels does a predicted pixel depend, by lead time?

The definitions are ours: those of the image tools, applied to each output.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from predcnn.analysis.subject import layers_of


class PredictorSubject:
    """A predictor, (B, T, C, H, W) -> (B, frames_out, C, H, W), with one output per lead time.

    Receptive fields are those of a predicted pixel, with absolute gradients: darkening counts as
    much as brightening. Grad-CAM and channel saliency explain the sum over the predicted frame's
    pixels. The reward of a partly hidden past is -log of the mean squared error of the prediction
    (up to a factor the PSNR).

    Args:
        leads: lead times from 1 to ``frames_out``; None: first, middle and last.
        layer: dotted name of the explained module; None: the encoder for Grad-CAM (one map per
            past frame), the translator for the channels.
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
        self.leads = tuple(leads or dict.fromkeys((1, (last + 1) // 2, last)))
        wrong = [t for t in self.leads if not 1 <= t <= last]
        if wrong:
            raise ValueError(f"{name} predicts lead times 1 to {last}, not {wrong}")
        self.net = net.eval()
        self.name = name
        self.outputs = tuple(f"+{t}" for t in self.leads)
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
        raise ValueError(f"{self.name} has no {name}: give layer=…; {layers_of(self.net)}")

    def enter(self, clips: Tensor) -> Tensor:
        return clips

    def response(self, x: Tensor) -> Tensor:
        return self._chosen(self.net(x))

    def _chosen(self, frames: Tensor) -> Tensor:
        return frames[:, [lead - 1 for lead in self.leads]]

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
        return -error.clamp(min=1e-12).log()

    def maps(self, raw: Tensor, x: Tensor) -> Tensor:
        if raw.ndim != 4 or len(raw) % len(x):
            raise ValueError(
                f"{self.name}: a layer needs maps (B·n, C, H, W) of B = {len(x)} sequences, not "
                f"{tuple(raw.shape)}: choose another layer"
            )
        return raw.unflatten(0, (len(x), -1))
