"""The weights that a training may change, which alone are saved: frozen ones are those of a checkpoint elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from w2svqa.core.errors import ConfigError


def frozen_names(model: nn.Module) -> frozenset[str]:
    """Return the names of the weights that are not trained, as in the state dict.

    Example:
        >>> sorted(frozen_names(nn.Linear(1, 1).requires_grad_(False)))
        ['bias', 'weight']
    """
    return frozenset(
        name for name, weight in model.named_parameters(remove_duplicate=False) if not weight.requires_grad
    )


def changing(model: nn.Module) -> dict[str, Tensor]:
    """Return what training changes: trained weights and buffers, those of the model itself, no copies."""
    frozen = frozen_names(model)
    return {name: value for name, value in model.state_dict().items() if name not in frozen}


def load_changing(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a model what :func:`changing` returned of another.

    Raises:
        RuntimeError: other names than those that this model's training changes, or other shapes.
    """
    if not frozen_names(model):
        model.load_state_dict(state)  # its messages say all
        return
    wanted = changing(model).keys()
    if wanted != state.keys():
        several = sorted(wanted ^ state.keys())
        raise RuntimeError(f"{len(several)} weights are trained in one of the two alone, {several[0]} for one")
    model.load_state_dict(state, strict=False)


def start_from(model: nn.Module, initial: nn.Module | Mapping[str, Tensor]) -> None:
    """Copy weights into a new model.

    Raises:
        ConfigError: they do not fit.
    """
    try:
        load_changing(model, changing(initial) if isinstance(initial, nn.Module) else initial)
    except RuntimeError as error:
        raise ConfigError(
            f"the initial weights do not fit the model: {error}", remedy="train every stage with the same train.model"
        ) from None
