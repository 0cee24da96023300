"""Cards that are not there: real arithmetic on the CPU that keeps strict account of devices.

Tensors say that they lie on `meta:N`, since a PyTorch built for the CPU refuses to name `cuda:N`;
what mixes two devices, or a card and the CPU, is an error as it is on a real card. What a real card
does to speed, rounding and memory is not pretended.
"""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default, aten.to.device, aten.to.dtype_layout)


class OnCard(torch.Tensor):
    """A CPU tensor that says that it lies on a card."""

    @staticmethod
    def __new__(cls, inner, device):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=device
        )

    def __init__(self, inner, device):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError("a tensor of a pretended card left its machine")


class Machine(TorchDispatchMode):
    """Runs every operation on the tensors behind the cards' tensors, having checked devices."""

    def __init__(self):
        super().__init__()
        self.moves = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        given = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
        # a number in a tensor (0-dimensional, on the CPU) may meet any device
        places = {x.device for x in given if x.ndim or x.device.type != "cpu"}
        wanted = kwargs.get("device")
        if wanted is None:
            wanted = next((x for x in args if isinstance(x, torch.device)), None)
        if func in COPIES or func.overloadpacket in (aten.copy_, aten._to_copy, aten.to):
            self.moves += len(places) > 1 or (wanted is not None and {wanted} != places)
        elif len(places) > 1:
            raise RuntimeError(f"{func}: tensors on {sorted(map(str, places))}")
        place = torch.device(wanted) if wanted is not None else next(iter(places), None)
        if place is None and given:
            place = given[0].device
        if func is aten.copy_.default:
            place = args[0].device
        outer = {id(x.inner): x for x in given if isinstance(x, OnCard)}

        def bare(x):
            if isinstance(x, OnCard):
                return x.inner
            return torch.device("cpu") if isinstance(x, torch.device) else x

        found = func(*tree_map(bare, args), **tree_map(bare, kwargs))
        if place is None or place.type == "cpu":
            return found

        def dress(x):
            if not isinstance(x, torch.Tensor):
                return x
            same = outer.get(id(x))
            return same if same is not None and same.device == place else OnCard(x, place)

        return tree_map(dress, found)


class _Made(TorchFunctionMode):
    """Tensors made of lists and arrays are made on the CPU, then brought to their card."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


@contextlib.contextmanager
def machine():
    """A machine with cards `meta:0`, `meta:1`, ...; yields its count of copies between devices."""
    with _Made(), Machine() as running:
        yield running
