"""A new model in the parametrization that a recipe asks for; torch is imported by architectures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jetscale.errors import StudyError, unknown
from jetscale.models.inputs import Features
from jetscale.models.parametrization import ROLES, Factors, Role, factors_of
from jetscale.models.protocol import architecture_named
from jetscale.study import Model, ModelSize

if TYPE_CHECKING:
    from torch import nn


def build_model(
    settings: Model,
    size: ModelSize,
    features: Features,
    outputs: int,
    *,
    trunk_seed: int,
    head_seed: int,
) -> tuple[nn.Module, dict[str, Factors]]:
    """A new model in the parametrization of the settings, and the factors of its weights by name.

    There are no factors with ``standard``. Raises StudyError for ``complete`` where the model does
    not say what its weights are.
    """
    architecture = architecture_named(settings.architecture)
    model = architecture.build(size, features, outputs, trunk_seed=trunk_seed, head_seed=head_seed)
    if settings.parametrization == "standard":
        return model, {}
    complete = getattr(model, "complete", None)
    if complete is None:
        raise StudyError(
            f"architecture {settings.architecture!r}: parametrization 'complete' needs models with "
            "a method complete() (see jetscale.models.parametrization); add one or use 'standard'"
        )
    roles = complete()
    _check_roles(settings.architecture, model, roles)
    return model, {name: factors_of(role, size) for name, role in roles.items()}


def _check_roles(architecture: str, model: nn.Module, roles: Mapping[str, Role]) -> None:
    """Raise StudyError for a weight without a role, or for a role that there is not."""
    for name in (name for name, _ in model.named_parameters() if name not in roles):
        raise StudyError(f"architecture {architecture!r}: complete() gives no role for {name}")
    for name, role in roles.items():
        if role not in ROLES:
            raise StudyError(
                f"architecture {architecture!r}, {name}: {unknown('role', role, ROLES)}"
            )
