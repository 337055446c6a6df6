"""The field's measures, to the formula."""

from resight.evaluation.average_precision import average_precision
from resight.evaluation.recall import recall_at_k
from resight.evaluation.revisited import RevisitedResult, evaluate_revisited

__all__ = ["RevisitedResult", "average_precision", "evaluate_revisited", "recall_at_k"]
