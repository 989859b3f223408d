"""Dynamic sparse training as in SLaK: layers keep weights by sensitivity, then prune and grow.

Liu et al., "More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity", ICLR 2023,
section 3.3 and appendix; densities by Lee et al., "SNIP: Single-shot Network Pruning based on
Connection Sensitivity", ICLR 2019. The weights stay ordinary dense tensors with zeros in them.
"""

import math
from collections.abc import Mapping
from typing import Literal

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

FINAL_RATE = 0.005  # share of the kept weights that is still replaced at the end of a run


def sensitive_counts(scores: Mapping[str, Tensor], density: float) -> dict[str, int]:
    """Return how many weights each layer keeps, at least one: the ``density`` share by score."""
    flat = torch.cat([score.flatten() for score in scores.values()])
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    chosen[flat.topk(max(1, round(density * flat.numel()))).indices] = True
    parts = chosen.split([score.numel() for score in scores.values()])
    return {name: max(1, int(part.sum())) for name, part in zip(scores, parts, strict=True)}


def random_mask(weight: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return a random boolean mask of the weight's shape with ``count`` ones."""
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[torch.randperm(weight.numel(), generator=generator)[:count]] = True
    return mask.view_as(weight).to(weight.device)


def moved_mask(weight: Tensor, mask: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Drop the ``rate`` share of kept weights with the least magnitude, add as many at random."""
    kept = int(mask.sum())
    moving = min(int(rate * kept), mask.numel() - kept)
    if moving == 0:
        return mask
    magnitude = weight.detach().abs().masked_fill(~mask, math.inf).flatten()
    new = mask.flatten().clone()
    new[magnitude.topk(moving, largest=False).indices] = False
    empty = (~new).nonzero().flatten()
    order = torch.randperm(empty.numel(), generator=generator)[:moving]
    new[empty[order.to(empty.device)]] = True
    return new.view_as(mask)


class SparseMask(pl.Callback):
    """Keep a share of the weights non-zero during training; which ones changes over time.

    The first step sets the density of every layer by the sensitivity |weight * gradient| of its
    weights and draws a mask of that density. Every ``update_every`` steps a share of the kept
    weights (``prune_rate``, falling to 0.005 along a cosine) is replaced: those of least magnitude
    become zero, as many others are trained from zero. Masks are applied after every optimizer step
    and saved in the checkpoints. ``configs/callbacks/sparse_mask.yaml`` explains the options; its
    values are those of SLaK-T, larger networks have ``update_every`` 100 and ``prune_rate`` 0.3.
    """

    def __init__(
        self,
        density: float = 0.6,
        update_every: int = 2000,
        prune_rate: float = 0.5,
        scope: Literal["all", "strips"] = "all",
        seed: int = 0,
    ) -> None:
        for name, value in (("density", density), ("prune_rate", prune_rate)):
            if not 0 < value < 1:
                raise ValueError(f"{name} is a share between 0 and 1, not {value}")
        if update_every < 1:
            raise ValueError(f"update_every counts steps: at least 1, not {update_every}")
        if scope not in ("all", "strips"):
            raise ValueError(f"scope is 'all' or 'strips', not {scope!r}")
        self.density, self.update_every = density, update_every
        self.prune_rate, self.scope = prune_rate, scope
        self.masks: dict[str, Tensor] = {}
        self._generator = torch.Generator().manual_seed(seed)
        self._moved_at = 0

    def weights(self, module: nn.Module) -> dict[str, nn.Parameter]:
        """Return the masked parameters by name; raise ValueError if there are none."""
        parts = (".LoRA1.", ".LoRA2.") if self.scope == "strips" else ("",)
        found = {
            name.replace("_orig_mod.", ""): parameter
            for name, parameter in module.named_parameters()
            if parameter.requires_grad and name.endswith("weight") and parameter.ndim in (2, 4)
            if any(part in name for part in parts)
        }
        if not found:
            raise ValueError(
                f"nothing to mask: the model has no weights in scope {self.scope!r} "
                "(only translator=slak has strips)"
            )
        return found

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.weights(pl_module)  # reports a model without them before the first step

    @torch.no_grad()
    def on_before_optimizer_step(self, _: object, module: nn.Module, *__: object) -> None:
        if self.masks:
            return
        weights = self.weights(module)
        scores = {
            name: torch.zeros_like(w) if w.grad is None else (w * w.grad).abs().float()
            for name, w in weights.items()
        }
        for name, count in sensitive_counts(scores, self.density).items():
            self.masks[name] = random_mask(weights[name], count, self._generator)
        self._apply(weights)

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, module: nn.Module, *_: object) -> None:
        step = trainer.global_step
        if not self.masks:
            return
        weights = self.weights(module)
        if step % self.update_every == 0 and step != self._moved_at:
            self._moved_at = step
            progress = min(1.0, step / trainer.estimated_stepping_batches)
            cosine = (1 + math.cos(math.pi * progress)) / 2
            rate = FINAL_RATE + (self.prune_rate - FINAL_RATE) * cosine
            for name, weight in weights.items():
                mask = self.masks[name].to(weight.device)
                self.masks[name] = moved_mask(weight, mask, rate, self._generator)
        self._apply(weights)

    def _apply(self, weights: Mapping[str, nn.Parameter]) -> None:
        for name, weight in weights.items():
            self.masks[name] = self.masks[name].to(weight.device)
            weight.mul_(self.masks[name])

    def state_dict(self) -> dict[str, object]:
        generator = self._generator.get_state()
        return {"masks": dict(self.masks), "generator": generator, "moved_at": self._moved_at}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        self.masks = dict(state_dict["masks"])
        self._generator.set_state(state_dict["generator"].cpu())
        self._moved_at = state_dict["moved_at"]
