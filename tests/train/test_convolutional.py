from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad

from train.convolutional import Convolutions, TemporalConvolutions


def _whole(network: TemporalConvolutions, window: Tensor, dilations: list[int], kernel: int, causal: bool) -> Tensor:
    """The textbook's network: every block at every step of the window, dilated instead of thinned."""
    step = window.transpose(1, 2)
    for block, dilation in zip(network.blocks, dilations, strict=True):
        reach = (kernel - 1) * dilation
        around = (reach, 0) if causal else (reach // 2, reach // 2)
        value = step
        for layer in (block.first, block.second):
            value = torch.relu(conv1d(pad(value, around), layer.weight, layer.bias, dilation=dilation))
        step = torch.relu(value + block.shortcut(step))
    return step


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.data(), st.booleans(), st.sampled_from([[1], [1, 2, 8], [1, 1, 3], [1, 4, 4]]))
def test_what_is_computed_is_what_the_whole_network_says_at_the_read_step(
    window: int, data: st.DataObject, causal: bool, dilations: list[int]
) -> None:
    read = data.draw(st.integers(0, window - 1))
    kernel = data.draw(st.sampled_from([1, 2, 3, 4] if causal else [1, 3, 5]))
    torch.manual_seed(0)
    network = TemporalConvolutions(
        2,
        channels=[3, 4, 4][: len(dilations)],
        kernel=kernel,
        dilations=dilations,
        window=window,
        read=read,
        causal=causal,
        dropout=0.0,
    )
    given_window = torch.randn(2, window, 2)
    wanted = _whole(network, given_window, dilations, kernel, causal)[..., read]
    torch.testing.assert_close(network(given_window), wanted)


def test_how_far_back_a_streaming_network_hears() -> None:
    """Kernel 3 and dilations 1, 2, 8: 1 + 2 * 2 * (1 + 2 + 8) = 45 steps, none of them left out."""
    network = TemporalConvolutions(
        1, channels=[2, 2, 2], kernel=3, dilations=[1, 2, 8], window=60, read=59, causal=True, dropout=0.0
    )
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)  # no ReLU is silent then
    window = torch.ones(1, 60, 1, requires_grad=True)
    network(window).sum().backward()
    assert window.grad is not None
    assert (window.grad[0, :, 0] > 0).tolist() == [False] * 15 + [True] * 45


def test_a_plain_stack_keeps_every_step_in_its_place() -> None:
    stack = Convolutions(2, channels=[3, 5], kernel=3)
    assert stack(torch.randn(4, 7, 2)).shape == (4, 7, stack.width) == (4, 7, 5)
    nn.init.zeros_(stack.layers[0].weight)
    window = torch.randn(1, 7, 2)
    torch.testing.assert_close(stack(window)[:, 2:5], stack(window + 1.0)[:, 2:5])
    only = Convolutions(1, channels=[1], kernel=3)
    with torch.no_grad():
        only.layers[0].weight.copy_(torch.tensor([[[0.0, 1.0, 0.0]]]))
        only.layers[0].bias.zero_()
    positive = torch.rand(1, 7, 1)
    torch.testing.assert_close(only(positive), positive)
