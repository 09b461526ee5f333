"""What an attack makes large: one number for each image.

Losses are never averaged over a batch. An image's gradient then does not depend on which images
share its batch, and an attack on half a batch finds the same adversaries as on the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

#: From raw logits ``(n, classes)`` and labels ``(n,)`` to one number an image, ``(n,)``.
Function = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A loss to ascend, and a second function with the same level sets.

    Attributes:
        loss: the loss itself, for attacks that step by its gradient.
        surrogate: a strictly increasing function of the loss, image by image. Its gradient points
            in the loss's own direction but does not vanish where the model is confident; for
            attacks that use only the direction, and for ranking adversaries.
    """

    loss: Function
    surrogate: Function


def true_logits(logits: Tensor, y: Tensor) -> Tensor:
    """Each image's logit of its class ``y``, ``(n,)``."""
    return logits.gather(1, y.unsqueeze(1)).squeeze(1)


def log_odds(logits: Tensor, y: Tensor) -> Tensor:
    """Log of the odds against the class: ``log((1 - p_y) / p_y)``, ``(n,)``.

    As logsumexp of the other logits minus z_y it never forms ``p_y - 1``. That difference is how
    the usual cross-entropy loses its gradient in float32: once p_y rounds to 1 only noise is
    left of it, and a sign step then moves pixels the wrong way.
    """
    others = logits.scatter(1, y.unsqueeze(1), float("-inf"))
    return others.logsumexp(1) - true_logits(logits, y)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy ``-log p_y``, ``(n,)``, accurate also where p_y is next to 1.

    ``p_y = sigmoid(-m)`` with m the log-odds against y. Backpropagation yields ``-sigmoid(m)`` for
    z_y: minus the sum of the other probabilities, not ``p_y - 1``. (Not softplus, which PyTorch
    cuts off above 20, an error of 2e-9.)
    """
    return -F.logsigmoid(-log_odds(logits, y))


def study(logits: Tensor, y: Tensor) -> Tensor:
    """The original study's objective, ``sum_j z_j - 2 z_y`` on raw logits, ``(n,)``."""
    return logits.sum(1) - 2 * true_logits(logits, y)


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """How far the best other class leads, ``max_{j != y} z_j - z_y``, ``(n,)``; above 0: fooled.

    It is blind to the scale of the logits, by which a network can flatten its cross-entropy
    (Carlini and Wagner, "Towards Evaluating the Robustness of Neural Networks", S&P 2017, section
    V.A, f_6 without its cut).
    """
    others = logits.scatter(1, y.unsqueeze(1), float("-inf"))
    return others.max(1).values - true_logits(logits, y)


#: The objectives by the names that attacks take.
OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        "cross_entropy": Objective(loss=cross_entropy, surrogate=log_odds),
        "study": Objective(loss=study, surrogate=study),
        "margin": Objective(loss=margin, surrogate=margin),
    }
)
