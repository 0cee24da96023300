"""Where the engine runs and in which numbers; models larger than a card; memory that is refused.

The stream, and all that is computed of it, lives on one card: scores of edges meet what every part
writes with what every part reads. A model larger than that card lies on several, and a layer that
lies elsewhere is brought to the first when it is its turn.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from connectome.errors import ConfigError, DeviceError

FORMATS = ("float32", "bfloat16", "float16", "float64")
WORK = 0.2  # share of the first card's free memory that runs need beside the weights
SPARE = 0.02  # of every other card: what its allocator cannot use

Found = TypeVar("Found")
Modules = tuple[Any, ...]  # the modules of a layer: dataclasses of tensors


def number_format(name: str | torch.dtype) -> torch.dtype:
    """A number format by its name. Raises ConfigError for a name that is not in FORMATS."""
    if isinstance(name, torch.dtype):
        return name
    if name not in FORMATS:
        raise ConfigError(f"number format {name!r} is not known; known: {', '.join(FORMATS)}")
    return getattr(torch, name)


def resolve(name: str | torch.device) -> list[torch.device]:
    """Devices that a model may lie on, the one with most free memory first.

    "auto" is every card that this process sees, else the CPU; "cuda" every card; "cuda:1" that one.
    Raises DeviceError for cards that are not there, ConfigError for another name.
    """
    if isinstance(name, torch.device):
        return [name]
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, _, number = name.partition(":")
    if name == "cpu" or (name == "auto" and not seen):
        return [torch.device("cpu")]
    if name not in ("auto", "cuda") and not (kind == "cuda" and number.isdecimal()):
        raise ConfigError(f"device {name!r} is not known; known: auto, cpu, cuda, cuda:N")
    if not seen:
        raise DeviceError(
            f"engine.device is {name!r}, but this job sees no CUDA card; use auto or cpu, or a "
            "PyTorch built for CUDA on a machine with a card"
        )
    if number and int(number) >= seen:
        raise DeviceError(
            f"engine.device is {name!r}, but this job sees {seen} card{'s' * (seen > 1)}, numbered "
            f"from 0; a cluster numbers the cards of a job anew: use cuda there"
        )
    chosen = [int(number)] if number else range(seen)
    return sorted((torch.device("cuda", i) for i in chosen), key=free_bytes, reverse=True)


def free_bytes(device: torch.device) -> int:
    """Memory of a card that nobody uses."""
    return torch.cuda.mem_get_info(device)[0]


def place(layers: Sequence[int], rest: int, free: Sequence[int]) -> list[int]:
    """Card of each layer; one card after the other is filled, in their order.

    layers: bytes of each; rest: bytes of what lies on the first card with them; free: bytes free
    on each card. Raises DeviceError where they do not fit.
    """
    room = [int(free[0] * (1 - WORK)) - rest, *(int(x * (1 - SPARE)) for x in free[1:])]
    result, card = [], 0
    for size in layers:
        while card < len(room) and room[card] < size:
            card += 1
        if card == len(room) or room[0] < 0:
            raise DeviceError(
                f"the model needs {(sum(layers) + rest) / 1e9:.1f} GB, but {len(free)} "
                f"card{'s' * (len(free) > 1)} with {sum(free) / 1e9:.1f} GB free cannot hold it; "
                "use a smaller dtype, more cards, or device cpu"
            )
        room[card] -= size
        result.append(card)
    return result


def moved(modules: Modules, device: torch.device) -> Modules:
    """The modules of a layer on another device; what is there already is not copied."""

    def move(module: Any) -> Any:
        tensors = {f.name: getattr(module, f.name) for f in fields(module)}
        return replace(
            module, **{n: x.to(device) for n, x in tensors.items() if isinstance(x, Tensor)}
        )

    return tuple(move(module) for module in modules)


def size_of(modules: Modules) -> int:
    """Bytes of the modules of a layer."""
    values = (getattr(module, f.name) for module in modules for f in fields(module))
    return sum(x.nbytes for x in values if isinstance(x, Tensor))


class Spread(Sequence[Modules]):
    """Layers on several devices, each brought to the first device when it is asked for.

    The last one brought stays until another is: a pass asks for a layer several times in a row.
    """

    def __init__(self, layers: Sequence[Modules], device: torch.device) -> None:
        self._layers, self._device = tuple(layers), device
        self._near: tuple[int, Modules] = (-1, ())

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, layer: Any) -> Any:
        number = range(len(self))[layer]
        if number != self._near[0]:
            self._near = (-1, ())  # room for the next
            self._near = (number, moved(self._layers[number], self._device))
        return self._near[1]


def lay_out(
    layers: Iterable[Modules],
    count: int,
    rest: int,
    devices: Sequence[torch.device],
    free: Callable[[torch.device], int] = free_bytes,
) -> Sequence[Modules]:
    """Layers, taken one by one, on the devices that have room for them.

    rest: bytes that lie on the first device beside them. All layers are taken for as large as the
    first. Raises DeviceError, before the second is made, where they cannot fit.
    """
    if devices[0].type == "cpu":
        return tuple(layers)
    cards: list[int] = []
    result: list[Modules] = []
    for layer in layers:
        if not cards:
            cards = place([size_of(layer)] * count, rest, [free(device) for device in devices])
        result.append(moved(layer, devices[cards[len(result)]]))
    return Spread(result, devices[0]) if any(cards) else tuple(result)


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that a device, or this machine, has no memory left."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # PyTorch has no class of its own for the allocator of the CPU
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def within_memory(
    run: Callable[[Any], Found], batches: Iterable[Sequence[Any]], unit: str = "prompts"
) -> Iterator[Found]:
    """`run` of each batch, in order; where memory is refused, that batch and the rest in halves.

    A batch is a range or a list of rows, so that the rows and their order stay what they were. On
    a CPU this helps where the machine refuses memory (a limit), not where it kills the job.
    Raises DeviceError where one row alone does not fit, and where the device cannot compute in
    these numbers.
    """
    pending = deque(batches)
    while pending:
        batch, refused = pending[0], False
        try:
            found = run(batch)
        except (RuntimeError, MemoryError) as error:
            if "not implemented for" in str(error):
                raise DeviceError(f"this device cannot compute in these numbers: {error}") from None
            if not is_refusal(error):
                raise
            refused = True  # outside of the handler the tensors of the failed run are gone
        if not refused:
            pending.popleft()
            yield found
            del found  # not kept while the next batch runs
            continue
        if len(batch) == 1:
            raise DeviceError(
                f"one of the {unit} alone does not fit the memory; give the job more, use shorter "
                "ones, or a smaller dtype"
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = (len(batch) + 1) // 2
        print(
            f"out of memory with {len(batch)} {unit}: on with {half}", file=sys.stderr, flush=True
        )
        pending = deque(
            part
            for some in pending
            for part in (some[: (len(some) + 1) // 2], some[(len(some) + 1) // 2 :])
            if len(part)
        )


def ranges(count: int, size: int) -> list[range]:
    """Batches of `size` rows, in order."""
    return [range(count)[first : first + size] for first in range(0, count, size)]
