"""A backbone as an encoder of masked images: its maps, and access to the input of its stages."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from einops import rearrange
from torch import Tensor, nn

from predcnn.costs.measuring import evaluating

STEMS = ("stem", "patch_embed", "maxpool")
STAGES = ("stages", "layers")
DOWN = ("down", "downsample")


class Encoder(nn.Module):
    """Images (B, 3, S, S) -> maps of a backbone's stages (B, C_i, S / s_i, S / s_i), fine first.

    The classifier is removed from the backbone, in place.

    Attributes:
        backbone: the network that is trained.
        dims: channels C_i of each map. strides: s_i.

    Args:
        backbone: one of `predcnn.create_backbone`: with ``feature_info``, ``forward_intermediates``
            and ``prune_intermediate_layers`` as in timm.
    """

    def __init__(self, backbone: nn.Module, image_size: int) -> None:
        super().__init__()
        if not hasattr(backbone, "forward_intermediates"):
            raise ValueError(
                f"{type(backbone).__name__} has no forward_intermediates to return its stages' maps"
            )
        strides = [part["reduction"] for part in backbone.feature_info]
        self.isotropic = len(strides) > 1 and len(set(strides)) == 1
        last = len(strides) - 1
        self.indices = [last] if self.isotropic else [i for i, s in enumerate(strides) if s >= 4]
        backbone.prune_intermediate_layers([last], prune_norm=False, prune_head=True)
        if hasattr(getattr(backbone, "head", None), "norm"):  # timm before 1.0.31 leaves it
            backbone.head.norm = nn.Identity()
        self.backbone, self.image_size = backbone, image_size
        maps = self.probe()
        self.dims = [part.shape[1] for part in maps]
        self.strides = [image_size // part.shape[2] for part in maps]
        if any(s * part.shape[2] != image_size for s, part in zip(self.strides, maps, strict=True)):
            sizes = ", ".join(f"{part.shape[2]}x{part.shape[3]}" for part in maps)
            raise ValueError(
                f"images of {image_size} pixels give maps of {sizes}: choose a size that the "
                f"strides {', '.join(map(str, strides))} divide"
            )

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.backbone.forward_intermediates(
            images, indices=self.indices, norm=True, output_fmt="NCHW", intermediates_only=True
        )

    def probe(self, within: AbstractContextManager | None = None) -> list[Tensor]:
        """Return the maps of an empty image, computed in eval mode and ``within`` a context."""
        weight = next(self.backbone.parameters())
        image = weight.new_zeros(1, self.in_chans, self.image_size, self.image_size)
        with evaluating(self), within or nullcontext():
            return self(image)

    @property
    def in_chans(self) -> int:
        """Channels of the images: the input channels of the first convolution."""
        for module in self.backbone.modules():
            if isinstance(module, nn.Conv2d):
                return module.in_channels
        raise ValueError(f"{type(self.backbone).__name__} has no convolution to read an image with")

    def entrance(self, stage: int) -> nn.Module:
        """Return the module whose output enters a stage: the stem for stage 0."""
        info = self.backbone.feature_info
        if not 0 <= stage < len(info):
            raise ValueError(f"layer is a stage, 0 to {len(info) - 1}, not {stage}")
        if stage == 0:
            stem = _first(self.backbone, STEMS)
            if stem is None:
                raise ValueError(f"{type(self.backbone).__name__} has none of {', '.join(STEMS)}")
            return stem
        stages = _first(self.backbone, STAGES) or ()
        down = _first(stages[stage], DOWN) if len(stages) > stage else None
        if isinstance(down, nn.Module) and not isinstance(down, nn.Identity):
            return down
        return self.backbone.get_submodule(info[stage - 1]["module"])

    @contextmanager
    def entering(self, stage: int, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """Replace the map (B, C, H, W) that enters a stage by ``change(map)`` in this context."""
        channels_last = getattr(self.backbone, "output_fmt", "NCHW") == "NHWC"

        def replaced(module: nn.Module, inputs: tuple, x: Tensor) -> Tensor:
            if x.ndim == 3:  # tokens (B, N, C) that are the pixels of a square map
                side = round(x.shape[1] ** 0.5)
                if side**2 != x.shape[1]:
                    raise ValueError(
                        f"{x.shape[1]} tokens do not form a square map (a class token among "
                        "them?): give layer=0"
                    )
                changed = change(rearrange(x, "b (h w) c -> b c h w", h=side))
                return rearrange(changed, "b c h w -> b (h w) c")
            if channels_last:
                return rearrange(change(rearrange(x, "b h w c -> b c h w")), "b c h w -> b h w c")
            return change(x)

        handle = self.entrance(stage).register_forward_hook(replaced)
        try:
            yield
        finally:
            handle.remove()


def _first(module: nn.Module, names: Sequence[str]) -> nn.Module | None:
    return next((getattr(module, name) for name in names if hasattr(module, name)), None)
