"""The mean of numbers that are errors already, such as those of a reconstruction."""

from __future__ import annotations

from typing import ClassVar, final

from jaxtyping import Float, Integer
from torch import Tensor, nn

from resight.errors import InvalidInput

__all__ = ["Mean"]


@final
class Mean(nn.Module):
    """The mean over the batch of one error an image; owns no parameters and looks at no label."""

    kind: ClassVar = "mean"
    takes: ClassVar = ("reconstruction",)

    def forward(
        self, errors: Float[Tensor, " batch"], labels: Integer[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the mean error, a scalar.

        Raises:
            InvalidInput: There is no error, or not one an image.
        """
        if errors.ndim != 1 or len(errors) == 0 or len(errors) != len(labels):
            raise InvalidInput(
                f"the mean of errors of shape {tuple(errors.shape)} for {len(labels)} images cannot be "
                "taken: give one error an image, of one image or more"
            )
        return errors.mean()
