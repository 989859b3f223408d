"""DMVFN: motion estimated coarse to fine by blocks that an input may skip.

Hu et al., "A Dynamic Multi-Scale Voxel Flow Network for Video Prediction", CVPR 2023,
https://arxiv.org/abs/2303.09875 (fig. 2 and 3, eq. 2-8). There is no reference output: tests
compare with reference implementations of the parts and the published parameter count. The Laplacian
pyramid is that of Burt and Adelson, 1983.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from predcnn.predictors.unrolling import RecurrentPredictor, mixed
from predcnn.registry import PREDICTORS


def warp(frames: Tensor, flow: Tensor) -> Tensor:
    """Sample frames (N, C, H, W) at (x, y) + flow, bilinearly, clamped at the border.

    ``flow`` is (N, 2, H, W), right and down, in pixels.
    """
    H, W = frames.shape[-2:]
    axes = (torch.arange(n, device=flow.device, dtype=flow.dtype) for n in (H, W))
    y, x = torch.meshgrid(*axes, indexing="ij")
    at_x = (x + flow[:, 0]) * (2 / max(W - 1, 1)) - 1
    at_y = (y + flow[:, 1]) * (2 / max(H - 1, 1)) - 1
    grid = torch.stack([at_x, at_y], dim=-1)
    return functional.grid_sample(frames, grid, padding_mode="border", align_corners=True)


def laplacian_pyramid(frames: Tensor, levels: int) -> list[Tensor]:
    """Return what each halving of (N, C, H, W) loses, finest first; 5x5 binomial filter."""
    row = frames.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (row[:, None] * row).expand(frames.shape[1], 1, 5, 5)

    def blur(x: Tensor) -> Tensor:
        x = functional.pad(x, (2, 2, 2, 2), mode="reflect")
        return functional.conv2d(x, kernel, groups=len(kernel))

    lost = []
    for _ in range(levels):
        small = blur(frames)[..., ::2, ::2]
        spread = torch.zeros_like(frames)
        spread[..., ::2, ::2] = small
        lost.append(frames - 4 * blur(spread))
        frames = small
    return lost


def pyramid_loss(stages: Tensor, target: Tensor, *, gamma: float = 0.8, levels: int = 5) -> Tensor:
    """Return the published reconstruction loss, Σ_i gamma^(n-1-i) · L1 of Laplacian pyramids.

    Args:
        stages: predictions after each of n blocks, (N, n, C, H, W).
        target: (N, C, H, W); H and W at least 3 * 2**(levels - 1), for the filter's border.
    """
    n = stages.shape[1]
    smallest = 3 * 2 ** (levels - 1)
    if min(target.shape[-2:]) < smallest:
        size = tuple(target.shape[-2:])
        raise ValueError(f"{levels} pyramid levels need {smallest} pixels or more, not {size}")
    weights = gamma ** torch.arange(n - 1, -1, -1, dtype=stages.dtype, device=stages.device)
    wanted = laplacian_pyramid(target, levels)
    given = laplacian_pyramid(rearrange(stages, "b n c h w -> (b n) c h w"), levels)
    loss = stages.new_zeros(n)
    for lost, true in zip(given, wanted, strict=True):
        distance = (rearrange(lost, "(b n) c h w -> b n c h w", n=n) - true[:, None]).abs()
        loss = loss + distance.mean(dim=(0, 2, 3, 4))
    return (loss * weights).sum()


def active(dim_in: int, dim_out: int, stride: int = 1) -> nn.Sequential:
    """Build a 3x3 convolution and PReLU."""
    return nn.Sequential(nn.Conv2d(dim_in, dim_out, 3, stride, padding=1), nn.PReLU(dim_out))


class MotionBlock(nn.Module):
    """Multi-scale voxel flow block: a deep path at 1/scale and a thin one at full size.

    Images (N, 4*C + 1, H, W) and flow (N, 4, H, W) -> changes of the flow and a mask (N, 1, H, W).
    """

    def __init__(self, dim_in: int, dim: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.conv0 = nn.Sequential(active(dim_in, dim // 2, 2), active(dim // 2, dim, 2))
        self.convblock = nn.Sequential(*(active(dim, dim) for _ in range(3)))
        self.conv_sq = active(dim, dim // 4)
        self.conv1 = nn.Sequential(active(dim_in, 8, 2))
        self.convblock1 = nn.Sequential(active(8, 8))
        self.lastconv = nn.ConvTranspose2d(dim // 4 + 8, 5, 4, 2, 1)

    def forward(self, images: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        full = torch.cat([images, flow], dim=1)
        small = full
        if self.scale != 1:
            small = _resized(torch.cat([images, flow / self.scale], dim=1), 1 / self.scale)
        deep = self.conv0(small)
        deep = _resized(self.conv_sq(self.convblock(deep) + deep), 2.0 * self.scale)
        thin = self.convblock1(self.conv1(full))
        change = self.lastconv(torch.cat([deep, thin], dim=1))
        return change[:, :4], change[:, 4:]


class Motion(NamedTuple):
    """Flows of both frames (N, 4, H, W), logits of their mixture (N, 1, H, W), warped frames."""

    flow: Tensor
    mask: Tensor
    first: Tensor
    second: Tensor

    def merged(self) -> Tensor:
        """Return the predicted frame (N, C, H, W), clipped to [0, 1]."""
        return mixed(torch.sigmoid(self.mask), self.first, self.second).clamp(0, 1)


@dataclass
class DMVFNState:
    """The last frame fed, and the predictions after every block if ``collect``."""

    last: Tensor | None
    collect: bool
    stages: list[Tensor] = field(default_factory=list)


@PREDICTORS.register("dmvfn")
class DMVFN(RecurrentPredictor):
    """Two frames -> the next by voxel flow, (B, T, C, H, W) -> (B, frames_out, C, H, W) in [0, 1].

    H and W are multiples of ``4 * max(scale)``. A prediction depends on the last two frames; the
    first one of `unroll` gets frame 0 twice, and the published loss ignores it. `unroll` gives
    ``extras["stages"]``, the predictions after every block, (B, T_all - 1, blocks, C, H, W), for
    `pyramid_loss`; all but the last ignore the routing of their block, as in the reference code.

    In training mode each sample draws the blocks it uses (Bernoulli, straight-through gradient); in
    eval mode it uses those of probability 1/2 or more, and only they are computed. The reference
    code draws in eval mode too, uses the blocks of the first sample for the batch, and returns the
    older frame if there are none; so does `forward` with compat "openstl".

    Args (others: see `Predictor`):
        num_features: channels of each block, multiples of 4.
        scale: how far each block shrinks its input.
        routing_out_channels: channels of the routing network.
        beta: share of the blocks to be used on average, in (0, 1].
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
        num_features: Sequence[int] = (160, 160, 160, 80, 80, 80, 44, 44, 44),
        scale: Sequence[int] = (4, 4, 4, 2, 2, 2, 1, 1, 1),
        routing_out_channels: int = 32,
        beta: float = 0.5,
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        if not scale or len(num_features) != len(scale):
            raise ValueError(f"num_features {num_features} and scale {scale} differ in length")
        C, H, W = self.in_shape[1:]
        self.beta, self.size_multiple = beta, 4 * max(scale)
        self.check_size((H, W))
        self.stu = nn.ModuleList(
            MotionBlock(4 * C + 5, dim, shrink)
            for dim, shrink in zip(num_features, scale, strict=True)
        )
        self.routing = nn.Sequential(
            nn.Conv2d(2 * C, routing_out_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(routing_out_channels, routing_out_channels, 3, padding=1),
            nn.AdaptiveAvgPool2d(1),
        )
        self.openstl_keys = {"routing": "routing.routing"}
        self.l1 = nn.Linear(routing_out_channels, len(scale))

    def begin(self, first: Tensor, *, collect: bool) -> DMVFNState:
        return DMVFNState(None, collect)

    def advance(self, fed: Tensor, state: DMVFNState, *, last_only: bool) -> Tensor:
        """Take S steps at once: no step needs the result of another."""
        before = fed[0] if state.last is None else state.last
        firsts = torch.cat([before[None], fed[:-1]])
        seconds, state.last = fed, fed[-1]
        if last_only:
            firsts, seconds = firsts[-1:], seconds[-1:]
        steps, first, second = len(seconds), firsts.flatten(0, 1), seconds.flatten(0, 1)
        if not (self.training or state.collect):
            return self.evaluated(first, second, sparse=first.is_cpu).unflatten(0, (steps, -1))
        merged: list[Tensor] = []
        motion = self._routed(first, second, self.routes(first, second), merged)
        stages = torch.stack([*merged, motion.merged()], dim=1).unflatten(0, (steps, -1))
        if state.collect:
            state.stages.append(stages)
        return stages[:, :, -1]

    def evaluated(self, first: Tensor, second: Tensor, *, sparse: bool) -> Tensor:
        """Predict (N, C, H, W) in eval mode; ``sparse`` computes only the blocks in use.

        That reads the routes, which would synchronise with an accelerator.
        """
        routes = self.routes(first, second) > 0.5
        if self.compat == "openstl":
            routes = routes[:1].expand_as(routes)
        merged = (self._chosen if sparse else self._routed)(first, second, routes).merged()
        return torch.where(routes.any(), merged, first) if self.compat == "openstl" else merged

    def extras(self, state: DMVFNState, frames: Tensor, predictions: Tensor) -> dict[str, Tensor]:
        return {"stages": torch.cat(state.stages).transpose(0, 1)}

    def routes(self, first: Tensor, second: Tensor) -> Tensor:
        """Return which blocks each sample uses, (N, blocks) of 0 and 1."""
        pooled = self.routing(torch.cat([first, second], dim=1)).flatten(1)
        chance = torch.sigmoid(self.l1(pooled))
        share = self.beta * len(self.stu) / (chance.sum(dim=1, keepdim=True) + 1e-6)
        chance = (chance * share).clamp(0, 1)
        if self.training or self.compat == "openstl":
            drawn = torch.bernoulli(chance.detach())
        else:
            drawn = (chance.detach() >= 0.5).to(chance.dtype)
        return drawn + (chance - chance.detach())

    def _routed(
        self, first: Tensor, second: Tensor, routes: Tensor, unrouted: list[Tensor] | None = None
    ) -> Motion:
        """Return the motion after all blocks, each computed and masked by its routes (N, blocks).

        Appends to ``unrouted`` the prediction after every block but the last, without its routing.
        """
        motion = _no_motion(first, second)
        for i, block in enumerate(self.stu):
            d_flow, d_mask = block(_seen(first, second, motion), motion.flow)
            use = routes[:, i, None, None, None].to(d_flow.dtype)
            if unrouted is not None and i < len(self.stu) - 1:
                moved = _moved(first, second, motion.flow + d_flow, motion.mask + d_mask)
                unrouted.append(moved.merged())
            motion = _moved(first, second, motion.flow + d_flow * use, motion.mask + d_mask * use)
        return motion

    def _chosen(self, first: Tensor, second: Tensor, routes: Tensor) -> Motion:
        """Return the motion after all blocks, each computed for the samples that use it."""
        motion = _no_motion(first, second)
        for i, block in enumerate(self.stu):
            chosen = routes[:, i].nonzero().squeeze(1)
            if len(chosen) == 0:
                continue
            part = Motion(*(x[chosen] for x in motion))
            d_flow, d_mask = block(_seen(first[chosen], second[chosen], part), part.flow)
            flow = motion.flow.index_add(0, chosen, d_flow.to(motion.flow.dtype))
            mask = motion.mask.index_add(0, chosen, d_mask.to(motion.mask.dtype))
            motion = _moved(first, second, flow, mask)
        return motion


def _no_motion(first: Tensor, second: Tensor) -> Motion:
    N, _, H, W = first.shape
    return Motion(first.new_zeros(N, 4, H, W), first.new_zeros(N, 1, H, W), first, second)


def _moved(first: Tensor, second: Tensor, flow: Tensor, mask: Tensor) -> Motion:
    return Motion(flow, mask, warp(first, flow[:, :2]), warp(second, flow[:, 2:]))


def _seen(first: Tensor, second: Tensor, motion: Motion) -> Tensor:
    """Return the images of a block, (N, 4*C + 1, H, W)."""
    return torch.cat([first, second, motion.first, motion.second, motion.mask], dim=1)


def _resized(x: Tensor, factor: float) -> Tensor:
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
