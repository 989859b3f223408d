"""Muon: steps along orthogonalised momentum for matrices, Adam for everything else.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
https://kellerjordan.github.io/posts/muon/; the size of a step from Liu et al., "Muon is Scalable
for LLM Training", 2025, https://arxiv.org/abs/2502.16982 (eq. 4), so that both parts share a
learning rate. A kernel of a convolution is a matrix of (out, in x height x width). torch's and
timm's Muon orthogonalise in bfloat16 and one matrix at a time, which on a CPU takes several times
as long as the rest of a small network's step; here matrices of one shape are one batch, in float32
where the device has no fast bfloat16.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from predcnn.native.private import foreach

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # singular values end between 0.7 and 1.2
ITERATIONS = 5
SMALLEST = 4  # a matrix with fewer rows or columns has nothing to orthogonalise


def orthogonalise(matrices: Tensor) -> Tensor:
    """Approximate the nearest semi-orthogonal matrices, (N, rows, columns) to the same shape.

    Newton-Schulz iteration of the quintic polynomial of Jordan et al., in bfloat16 on GPUs and in
    float32 elsewhere.
    """
    a, b, c = COEFFICIENTS
    x = matrices.to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum for matrices and kernels; Adam for the other parameters.

    Adam updates vectors, depthwise kernels, kernels with one input or output channel, and matrices
    with fewer than four rows or columns. Not for weights sharded among devices (FSDP): the shards
    are not matrices.

    Args:
        params: parameters or groups of them.
        lr: learning rate of both; a row of a matrix's step has the norm
            0.2 sqrt(max(rows, columns)) lr, about that of Adam.
        betas: decay of the mean gradient, for both, and of Adam's squares.
            ``OneCycleLR(cycle_momentum=True)`` cycles the first.
        weight_decay: decoupled, in units of the learning rate.
        eps: of Adam's denominator.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict],
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.95, 0.95),
        weight_decay: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if lr < 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(
                "lr and weight_decay are at least 0 and betas in [0, 1), not "
                f"lr={lr}, weight_decay={weight_decay}, betas={tuple(betas)}"
            )
        defaults = {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay, "eps": eps}
        super().__init__(params, defaults)
        given = [parameter for group in self.param_groups for parameter in group["params"]]
        if not any(is_matrix(parameter) for parameter in given):
            raise ValueError(
                f"there is no matrix among the {len(given)} parameters, so Muon would be Adam; "
                "weights sharded among devices (FSDP) need optimizer=adam"
            )

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Update all parameters that have a gradient; return the result of ``closure``."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            matrices, others = defaultdict(list), []
            for parameter in (p for p in group["params"] if p.grad is not None):
                if is_matrix(parameter):
                    kind = (parameter.flatten(1).shape, parameter.device, parameter.dtype)
                    matrices[kind].append(parameter)
                else:
                    others.append(parameter)
            for alike in matrices.values():
                self._step_matrices(alike, group)
            if others:
                self._step_others(others, group)
        return loss

    def _step_matrices(self, alike: list[nn.Parameter], group: dict) -> None:
        decay, lr = group["betas"][0], group["lr"]
        for parameter in alike:
            if not self.state[parameter]:
                self.state[parameter]["mean"] = torch.zeros_like(parameter)
        means = [self.state[parameter]["mean"] for parameter in alike]
        gradients = [parameter.grad for parameter in alike]
        foreach("lerp_", means, gradients, 1 - decay)
        ahead = foreach("lerp", gradients, means, decay)
        steps = orthogonalise(torch.stack([mean.flatten(1) for mean in ahead]))
        length = 0.2 * math.sqrt(max(steps.shape[1:])) * lr
        foreach("mul_", alike, 1 - lr * group["weight_decay"])
        kernels = [step.view(p.shape) for step, p in zip(steps, alike, strict=True)]
        foreach("add_", alike, kernels, alpha=-length)

    def _step_others(self, others: list[nn.Parameter], group: dict) -> None:
        for parameter in others:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["mean"] = torch.zeros_like(parameter)
                state["square"] = torch.zeros_like(parameter)
        states = [self.state[parameter] for parameter in others]
        adamw(
            others,
            [parameter.grad for parameter in others],
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def is_matrix(parameter: Tensor) -> bool:
    """Return whether `Muon` orthogonalises the steps of this parameter."""
    if parameter.ndim < 2 or min(parameter.shape[:2]) == 1:
        return False
    return min(parameter.flatten(1).shape) >= SMALLEST
