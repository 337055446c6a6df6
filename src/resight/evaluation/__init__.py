"""The field's measures, to the formula, and the way from a model and a benchmark to a result."""

from resight.evaluation.answers import FirstAnswers, first_answers
from resight.evaluation.average_precision import average_precision
from resight.evaluation.card import ProtocolCard
from resight.evaluation.clustering import (
    ClusterResult,
    adjusted_mutual_information,
    cluster,
    normalised_mutual_information,
)
from resight.evaluation.comparison import Comparison, compare
from resight.evaluation.labels import LabelResult, PerQuery, evaluate_labels
from resight.evaluation.protocols import describe_set, evaluate_benchmark, measure_set
from resight.evaluation.recall import recall_at_k
from resight.evaluation.report import write_report
from resight.evaluation.result import Measure, Result, read_result, write_result
from resight.evaluation.revisited import RevisitedResult, evaluate_revisited
from resight.evaluation.statistics import Interval, PairedTest, bootstrap, most_changed, paired

__all__ = [
    "ClusterResult",
    "Comparison",
    "FirstAnswers",
    "Interval",
    "LabelResult",
    "Measure",
    "PairedTest",
    "PerQuery",
    "ProtocolCard",
    "Result",
    "RevisitedResult",
    "adjusted_mutual_information",
    "average_precision",
    "bootstrap",
    "cluster",
    "compare",
    "describe_set",
    "evaluate_benchmark",
    "evaluate_labels",
    "evaluate_revisited",
    "first_answers",
    "measure_set",
    "most_changed",
    "normalised_mutual_information",
    "paired",
    "read_result",
    "recall_at_k",
    "write_report",
    "write_result",
]
