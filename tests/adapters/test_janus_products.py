"""Products of few rows: what is computed together, and that it changes no bit."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from paircomp_adapters.janus_products import PackedLinear, Rows, multiply_wide, pack_weights, steady_rows
from tests.adapters.tiny_janus import build_janus

BLOCKS = [Rows(4, 16), Rows(8, 48), Rows(16, 16), Rows(16, 128)]


class UnsteadyLinear(nn.Linear):
    """A fake library: what it says of a row changes when more than `bound` are computed together."""

    bound = 0

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        return super().forward(input) + (0.5 if input.shape[:-1].numel() > self.bound else 0.0)


@pytest.fixture
def model() -> Any:
    return build_janus(width=64, heads=2, key_value_heads=2, codes=2080)


@pytest.mark.parametrize("rows", BLOCKS)
def test_every_block_has_enough_rows(rows: Rows) -> None:
    assert rows.most is not None
    for wanted in range(1, 300):
        filled = rows.filled(wanted)
        blocks = [min(rows.most, filled - start) for start in range(0, filled, rows.most)]
        assert wanted <= filled < wanted + 16
        assert rows.fewest <= min(blocks) <= max(blocks) <= rows.most
        assert all(block % 4 == 0 for block in blocks)


def test_nothing_is_filled_up_or_cut_where_nothing_was_measured() -> None:
    calls: list[int] = []

    def counted(states: Tensor) -> Tensor:
        calls.append(len(states))
        return states

    assert [Rows().filled(rows) for rows in (1, 7, 1000)] == [1, 7, 1000]
    Rows().apply(counted, torch.zeros(1000, 3))
    assert calls == [1000]


@pytest.mark.parametrize("shape", [(16,), (100,), (3, 48), (20, 1)])
def test_a_function_is_applied_to_every_row_once(shape: tuple[int, ...]) -> None:
    states = torch.randn(*shape, 5)
    sizes: list[int] = []

    def doubled(part: Tensor) -> Tensor:
        sizes.append(part.shape[:-1].numel())
        return torch.cat([part, part], -1)

    found = Rows(4, 32).apply(doubled, states)

    assert torch.equal(found, torch.cat([states, states], -1))
    assert max(sizes) <= 32
    assert sum(sizes) == states.shape[:-1].numel()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1,), (7,), (4, 1), (2, 3)])
def test_a_packed_layer_is_the_one_it_was_made_of(shape: tuple[int, ...], bias: bool) -> None:
    linear = nn.Linear(72, 96, bias=bias)
    states = torch.randn(*shape, 72)

    with torch.no_grad():
        found, expected = PackedLinear(linear)(states), linear(states)

    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_wide_product_in_pieces_has_the_bits_of_the_whole() -> None:
    linear, states = nn.Linear(64, 2500), torch.randn(16, 64)

    with torch.no_grad():
        assert torch.equal(multiply_wide(linear, states), linear(states))


def test_large_models_on_a_cpu_are_packed(model: Any) -> None:
    pack_weights(model)
    assert not any(isinstance(module, PackedLinear) for module in model.modules())  # small: it stays in the cache

    pack_weights(model, smallest=0)

    layer = model.model.language_model.layers[0]
    assert isinstance(layer.self_attn.q_proj, PackedLinear)
    assert isinstance(layer.mlp.down_proj, PackedLinear)
    assert isinstance(model.model.generation_head.vision_head, PackedLinear)
    assert type(model.lm_head) is nn.Linear  # draws no image tokens


def test_other_number_formats_stay_as_they_are(model: Any) -> None:
    model = model.to(torch.bfloat16)

    pack_weights(model, smallest=0)

    assert not any(isinstance(module, PackedLinear) for module in model.modules())


def test_without_onednn_nothing_is_packed(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)

    pack_weights(model, smallest=0)

    assert not any(isinstance(module, PackedLinear) for module in model.modules())


@pytest.mark.parametrize("packed", [False, True])
def test_rows_computed_together_have_the_bits_of_those_computed_otherwise(model: Any, packed: bool) -> None:
    if packed:
        pack_weights(model, smallest=0)
    rows = steady_rows(model)
    assert rows.most is not None
    states = torch.randn(rows.filled(150), 64)
    with torch.no_grad():
        for function in (model.model.language_model.layers[0].self_attn.q_proj, model.model.generation_head):
            together = rows.apply(function, states)
            for wanted in (1, 5, 16, 40, 100):
                assert torch.equal(rows.apply(function, states[: rows.filled(wanted)])[:wanted], together[:wanted])


@pytest.mark.parametrize(("bound", "expected"), [(3, 128), (40, 32), (12, 128), (64, 64), (20, 16)])
def test_the_longest_steady_stretch_is_found(model: Any, bound: int, expected: int) -> None:
    """A fake library that changes its way behind `bound` rows; before it as behind it, it is steady."""
    layer = model.model.language_model.layers[1].mlp
    fake = UnsteadyLinear(layer.up_proj.in_features, layer.up_proj.out_features + bound)  # a shape of its own
    fake.bound = bound
    layer.up_proj = fake

    rows = steady_rows(model)

    assert rows.most == expected
    assert not rows.fewest <= bound < rows.most


def test_without_any_steady_stretch_every_product_has_sixteen_rows(model: Any) -> None:
    class NeverSteady(nn.Linear):
        """A fake library: each number of rows has bits of its own."""

        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            return super().forward(input) + input.shape[:-1].numel()

    layer = model.model.language_model.layers[1].mlp
    layer.up_proj = NeverSteady(layer.up_proj.in_features, 131)

    assert steady_rows(model) == Rows(16, 16)


def test_packed_weights_are_neither_trained_nor_saved(model: Any) -> None:
    assert pack_weights(model, smallest=0)
    layer = model.model.language_model.layers[0].mlp.up_proj

    with pytest.raises(RuntimeError, match="cannot be trained"):
        layer(torch.randn(4, 64, requires_grad=True))
    with pytest.raises(RuntimeError, match="cannot be saved"):
        model.state_dict()


def test_each_weight_goes_as_soon_as_it_is_packed(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a large model never lies in memory twice."""
    alive: list[weakref.ref[Tensor]] = []
    left: list[int] = []

    class Watched(PackedLinear):
        def __init__(self, linear: nn.Linear) -> None:
            left.append(sum(weight() is not None for weight in alive))
            alive.append(weakref.ref(linear.weight))
            super().__init__(linear)

    monkeypatch.setattr("paircomp_adapters.janus_products.PackedLinear", Watched)
    pack_weights(model, smallest=0)
    gc.collect()

    assert len(alive) > 10
    assert max(left) <= 1
    assert all(weight() is None for weight in alive)
