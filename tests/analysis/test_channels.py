"""Channel numbers compared with their definitions."""

import pytest
import torch
from torch import nn

from predcnn.analysis import PredictorSubject, channel_profile
from predcnn.analysis.channels import effective_channels, ranked_shares
from tests.analysis.subjects import classifier, clips, simvp


def test_energy_and_saliency_equal_their_definitions():
    subject = classifier()
    x = subject.enter(clips(2, size=64))
    target = subject.target(x)
    maps = subject.net.stages(subject.net.stem(x[:, 0])).detach().requires_grad_()
    logits = subject.net.forward_head(maps)
    (gradient,) = torch.autograd.grad(logits[range(2), target].sum(), maps)
    found = channel_profile(subject, x, target)
    torch.testing.assert_close(found.energy, maps.detach().square().mean((0, 2, 3)))
    expected = (maps.detach() * gradient).abs().mean((0, 2, 3))
    torch.testing.assert_close(found.saliency, expected[None])


def test_a_predictor_has_a_saliency_per_lead_time():
    found = channel_profile(simvp("moganet"), clips(1, 4, 1, 16), clips(1, 4, 1, 16))
    assert found.energy.shape == (16,)
    assert found.saliency.shape == (3, 16)
    # The decoder of lead time 1 reads the channels of the first latent frame only.
    assert (found.saliency[0, :4] > 0).all()
    assert (found.saliency[0, 4:] == 0).all()


class FrameByFrame(nn.Module):
    """Copies the past through a convolution that is called once per frame."""

    frames_out = 3

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        nn.init.ones_(self.conv.weight)

    def forward(self, past):
        return torch.stack([self.conv(frame)[:, :1] for frame in past.unbind(1)], 1)


def test_a_predictor_without_a_translator_needs_a_layer():
    net, x = FrameByFrame(), clips(2, 3, 1, 4)
    with pytest.raises(ValueError, match="steps has no translator: give layer=…; modules: conv"):
        channel_profile(PredictorSubject(net, "steps"), x, x)
    found = channel_profile(PredictorSubject(net, "steps", layer="conv"), x, x)
    torch.testing.assert_close(found.energy, x.square().mean().expand(2))
    expected = x.mean((0, 2, 3, 4)) / 3  # a lead time reads one frame of three
    torch.testing.assert_close(found.saliency[:, 0], expected)
    assert found.saliency[:, 1].abs().max() == 0


def test_shares_are_ranked_and_the_effective_number_counts_channels():
    values = torch.tensor([1.0, 3.0, 0.0, 4.0])
    torch.testing.assert_close(ranked_shares(values), torch.tensor([0.5, 0.375, 0.125, 0.0]))
    assert effective_channels(torch.ones(7)) == 7
    assert effective_channels(torch.tensor([0.0, 5.0])) == 1
