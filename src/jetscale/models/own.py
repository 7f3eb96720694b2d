"""A model of your own: any torch module with a trunk and a head, as an architecture.

``architecture="mypackage.model:build"`` in a recipe names a function of yours::

    class Deep(torch.nn.Module):
        def __init__(self, width, inputs, outputs):
            super().__init__()
            self.trunk = Trunk(width, inputs)             # everything but the last layer
            self.head = torch.nn.Linear(width, outputs)

        def forward(self, x, mask):                       # (J, L, F) float, (J, L) bool
            return self.head(self.trunk(x, mask))         # (J, outputs)

    def build(size, features, outputs):                   # ModelSize, feature names, int
        return Deep(size.width, len(features), outputs)

Row x[j, i] holds the scaled features of constituent i of jet j where mask[j, i] is True, and zeros
where it is False. The mask must be used: the output may not depend on how far jets are padded.
Parameters called ``trunk.embedding`` count as embedding, all others of the trunk do not. The
version is the module's ``VERSION``, or else the digest of its source file and of the modules that
this imports from beside it or from its package.

Training FLOPs come from ``build.flops(size, features, outputs, constituents)`` if there is such a
function (forward and backward of one jet), else from PyTorch's counter, which knows matrix
products, convolutions and attention, nothing else.

The parametrization ``complete`` needs a method ``complete()`` of the module, which scales a new
model and returns the role of each weight by name (see `jetscale.models.parametrization`).

Shape suffixes: N tokens of the batch, F features, B jets of a group, L its padded length.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy
from torch.utils.flop_counter import FlopCounterMode

from jetscale.errors import StudyError
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import Batch, batch_of, scaling_of
from jetscale.models.inputs import Features, Parameters
from jetscale.models.parametrization import Role
from jetscale.sources import digest_of
from jetscale.study import ModelSize

_FITTED, _CHECKED = (2, 4, 8), (12, 16)
"""Constituents at which FLOPs are counted to fit a + b n + c n^2, and to check the fit."""
_EMBEDDING = ["trunk", "inner", "embedding"]
_SAME = 1e-3
"""Largest difference that more padding may make to an output, as a share of 1 + |output|."""


class OwnModel:
    """`jetscale.models.protocol.Architecture` of a function that builds a torch module.

    The function takes size, feature names and outputs; its name is ``package.module:function``.
    Raises StudyError where it has neither ``VERSION`` nor a source file.
    """

    def __init__(self, name: str, factory: Callable[..., Any]) -> None:
        self.name, self.factory = name, factory
        self.version = _version(name, factory)
        self._counted: dict[Any, Parameters] = {}
        self._flops: dict[Any, tuple[Fraction, Fraction, Fraction]] = {}

    def parameters(self, size: ModelSize, features: Features, outputs: int) -> Parameters:
        """Numbers of parameters, counted in a model that is built and tried once.

        Raises StudyError where the function does not build a model that can be trained.
        """
        shape = (size, tuple(features), outputs)
        if shape not in self._counted:
            model = self.build(size, features, outputs, trunk_seed=0, head_seed=0)
            self._try(model, features, outputs)
            counts = {name: p.numel() for name, p in model.named_parameters()}
            total = sum(counts.values())
            head = sum(n for name, n in counts.items() if name.startswith("head."))
            inputs = sum(n for name, n in counts.items() if name.split(".")[:3] == _EMBEDDING)
            rest = total - head - inputs
            self._counted[shape] = Parameters(total=total, non_embedding=rest, head=head)
        return self._counted[shape]

    def training_flops(
        self,
        size: ModelSize,
        features: Features,
        outputs: int,
        *,
        jets: int,
        constituents: int,
        constituents_squared: int,
    ) -> float:
        """FLOPs of a pass forward and back, a + b n + c n^2; StudyError where they are not that."""
        shape = (size, tuple(features), outputs)
        if shape not in self._flops:
            self._flops[shape] = self._fit_flops(size, features, outputs)
        a, b, c = self._flops[shape]
        return float(a * jets + b * constituents + c * constituents_squared)

    def build(
        self, size: ModelSize, features: Features, outputs: int, *, trunk_seed: int, head_seed: int
    ) -> nn.Module:
        """A model with new weights: the trunk of one call of the function, the head of another.

        Torch's generator is seeded before each call, so that the trunk depends on its own seed
        alone and the head on its own. Raises StudyError where the function fails or what it returns
        has no trunk and head.
        """
        modules = []
        for seed in (trunk_seed, head_seed):
            with torch.random.fork_rng(devices=[]), self._blame("building it"):
                torch.default_generator.manual_seed(seed)
                modules.append(self.factory(size, tuple(f.name for f in features), outputs))
            if problem := _problem_of(modules[-1]):
                raise self._wrong(problem)
        trunk, head = modules
        trunk.head.load_state_dict(head.head.state_dict())
        return PaddedModel(trunk, features)

    @contextmanager
    def _blame(self, what: str) -> Iterator[None]:
        try:
            yield
        except StudyError:
            raise
        except (Exception, SystemExit) as error:
            line = " ".join(str(error).split())[:300]
            raise self._wrong(f"{what} failed with {type(error).__name__}: {line}") from error

    def _try(self, model: nn.Module, features: Features, outputs: int) -> None:
        """Raise StudyError for a model that three made-up jets show to be wrong."""
        data, like = _jets((3, 1, 5), len(features)), next(model.parameters())
        with torch.random.fork_rng(devices=[]), self._blame("a pass of 3 jets"):
            found = model(batch_of(data, like))
            if (shape := tuple(found.shape)) != (3, outputs):
                raise self._wrong(f"forward of 3 jets gives shape {shape}, needs (3, {outputs})")
            found.square().sum().backward()
        named = dict(model.named_parameters())
        if stray := [leaf for leaf in _leaves(found) if all(leaf is not p for p in named.values())]:
            what = f"{len(stray)} trainable tensors that are no parameters of it, as one of shape"
            fix = "make them nn.Parameter, keep layers in an nn.ModuleList"
            raise self._wrong(f"forward uses {what} {tuple(stray[0].shape)}; {fix}")
        if idle := [name for name, p in named.items() if p.grad is None]:
            listed = ", ".join(name.replace(".inner.", ".") for name in idle[:3])
            raise self._wrong(
                f"{len(idle)} weights get no gradient, as {listed}; use them in forward, let them "
                "require a gradient, or remove them"
            )
        model.eval()
        order = np.argsort(data.lengths)  # that of a batch
        with torch.no_grad(), self._blame("a pass of padded or single jets"):
            first, second = (model(batch_of(data, like, pad_to=n)) for n in (5, 9))
            alone = [model(batch_of(data.take(order[[i]]), like, pad_to=5)) for i in range(3)]
            if not all(output.isfinite().all() for output in (found, first, second, *alone)):
                raise self._wrong("its output is not finite for jets of 1, 3 and 5 constituents")
            for other, changes, fix in (
                (second, "when jets are padded further", "use the mask in forward"),
                (torch.cat(alone), "with the other jets of a batch", "let none see another"),
            ):
                if not torch.allclose(first, other, rtol=_SAME, atol=_SAME):
                    most = float((first - other).abs().max())
                    raise self._wrong(f"its output changes {changes}, by up to {most:.2g}; {fix}")

    def _wrong(self, what: str) -> StudyError:
        return StudyError(f"architecture {self.name!r}: {what}")

    def _fit_flops(
        self, size: ModelSize, features: Features, outputs: int
    ) -> tuple[Fraction, Fraction, Fraction]:
        formula, counts = getattr(self.factory, "flops", None), {}
        if formula is not None:
            names = tuple(feature.name for feature in features)
            with self._blame("flops()"):
                for n in (*_FITTED, *_CHECKED):
                    counts[n] = Fraction(formula(size, names, outputs, n))
        else:
            model = self.build(size, features, outputs, trunk_seed=0, head_seed=0)
            like = next(model.parameters())
            for n in (*_FITTED, *_CHECKED):
                batch = batch_of(_jets((n, n), len(features)), like)
                # Other attention kernels are not counted, or counted as if padded.
                with (
                    torch.random.fork_rng(devices=[]),  # dropout draws from it
                    sdpa_kernel(SDPBackend.MATH),
                    FlopCounterMode(display=False) as counter,
                    self._blame(f"a pass of {n} constituents"),
                ):
                    model(batch).square().sum().backward()
                counts[n] = Fraction(counter.get_total_flops(), 2)
        # Newton's divided differences through the fitted points give the three coefficients.
        n1, n2, n3 = _FITTED
        slope = (counts[n2] - counts[n1]) / (n2 - n1)
        c = ((counts[n3] - counts[n2]) / (n3 - n2) - slope) / (n3 - n1)
        b = slope - c * (n1 + n2)
        a = counts[n1] - b * n1 - c * n1 * n1
        wrong = [n for n in _CHECKED if abs(a + b * n + c * n * n - counts[n]) > counts[n] / 10**9]
        if wrong or counts[n1] <= 0:
            listed = ", ".join(f"{float(count):.6g} at {n}" for n, count in counts.items())
            raise self._wrong(
                f"training FLOPs of a jet are {listed} constituents, not a + b n + c n^2; give the "
                "function an attribute flops(size, features, outputs, constituents) that is"
            )
        return a, b, c


def _version(name: str, factory: Callable[..., Any]) -> int | str:
    for module in (factory.__module__, name.partition(":")[0]):
        version = getattr(sys.modules.get(module), "VERSION", None)
        if isinstance(version, int | str):
            return version
    if (found := digest_of(name, factory)) is None:
        raise StudyError(
            f"architecture {name!r}: its module has no source file; set VERSION in the module"
        )
    return found


def _problem_of(module: Any) -> str | None:
    """Why something is no module with trunk and head, or None."""
    if not isinstance(module, nn.Module):
        return f"the function returns {module!r}, needs a torch.nn.Module"
    found = [getattr(module, name, None) for name in ("trunk", "head")]
    parts = [part for part in found if isinstance(part, nn.Module)]
    if len(parts) < 2:
        return f"its {type(module).__name__} needs two modules called trunk and head"
    if lazy := [name for name, p in module.named_parameters() if is_lazy(p)]:
        return f"weights {', '.join(lazy[:3])} have no shape yet; use layers that are not lazy"
    trunk, head = (list(part.parameters()) for part in parts)
    inside = {id(p) for p in (*trunk, *head)}
    outside = [name for name, p in module.named_parameters() if id(p) not in inside]
    if outside:
        return f"weights {', '.join(outside[:3])} are in neither trunk nor head; move them"
    if len(inside) < len(trunk) + len(head):
        return "trunk and head share weights; a new head would change the trunk"
    if not trunk or not head:
        return "its trunk or head has no weights"
    kept = {id(buffer) for part in parts for buffer in part.buffers()}
    stray = [name for name, buffer in module.named_buffers() if id(buffer) not in kept]
    if stray:
        return f"buffers {', '.join(stray[:3])} are in neither trunk nor head; move them"
    return None


def _leaves(output: Tensor) -> Iterator[Tensor]:
    """The tensors that a backward pass of an output gives gradients to."""
    waiting, seen = [output.grad_fn], set[Any]()
    while waiting:
        if (node := waiting.pop()) is None or node in seen:
            continue
        seen.add(node)
        waiting += [inner for inner, _ in node.next_functions]
        if (leaf := getattr(node, "variable", None)) is not None:
            yield leaf


def _jets(lengths: Sequence[int], features: int) -> Ragged:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.random.default_rng(1).normal(size=(int(offsets[-1]), features))
    labels = np.zeros(len(lengths), np.int64)
    return Ragged(values=values.astype(np.float32), offsets=offsets, labels=labels)


class PaddedModel(nn.Module):
    """A user's module that takes batches; its trunk and head hold all weights between them."""

    padded = True

    def __init__(self, module: Any, features: Features) -> None:
        super().__init__()
        self.trunk = PaddedTrunk(module, features)
        self.head = module.head
        self.whole = module  # after its parts, whose names its weights keep
        if hasattr(module, "complete"):  # a model that cannot is known by having no such method
            self.complete = self._complete

    def _complete(self) -> dict[str, Role]:
        roles = self.whole.complete().items()
        return {name.replace("trunk.", "trunk.inner.", 1): role for name, role in roles}

    def forward(self, batch: Batch) -> Tensor:
        """(J, outputs), in the order of the batch."""
        outputs: Tensor = self.whole(*self.trunk.pad(batch))
        return outputs


class PaddedTrunk(nn.Module):
    """The user's trunk: takes a batch, gives what reaches the user's head."""

    shift: Tensor
    scale: Tensor

    def __init__(self, module: Any, features: Features) -> None:
        super().__init__()
        shift, scale = scaling_of(features)
        self.register_buffer("shift", shift, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.inner = module.trunk
        self._whole = (module,)  # in a tuple: as a submodule, its head would be part of the trunk

    def forward(self, batch: Batch) -> Tensor:
        """(J, P) pooled vectors: what the head gets, however the module calls its trunk."""
        reached: list[Tensor] = []
        (module,) = self._whole
        hook = module.head.register_forward_pre_hook(lambda _, inputs: reached.append(inputs[0]))
        try:
            module(*self.pad(batch))
        finally:
            hook.remove()
        return reached[0]

    def pad(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(J, L, F) scaled inputs, zero where padded, and the (J, L) mask; jets in batch order."""
        longest = max(view.length for view in batch.views)
        inputs_NF = torch.addcmul(self.shift, batch.values, self.scale)
        pieces = torch.split(inputs_NF, [view.jets * view.length for view in batch.views])
        padded, masks = [], []
        for piece, view in zip(pieces, batch.views, strict=True):
            mask_BL = view.mean > 0
            x_BLF = piece.view(view.jets, view.length, -1) * mask_BL[:, :, None]
            masks.append(functional.pad(mask_BL, (0, longest - view.length)))
            padded.append(functional.pad(x_BLF, (0, 0, 0, longest - view.length)))
        return torch.cat(padded), torch.cat(masks)
