"""The field's measures, to the formula, and the way from a model and a benchmark to a result."""

from resight.evaluation.card import ProtocolCard
from resight.evaluation.comparison import Comparison, compare
from resight.evaluation.descriptor_files import NamedDescriptors, read_descriptors
from resight.evaluation.labelled import describe_set, evaluate_benchmark, measure_set
from resight.evaluation.landmark_description import LandmarkDescriptors, describe_landmarks
from resight.evaluation.landmarks import (
    evaluate_landmarks,
    measure_descriptors,
    measure_similarities,
)
from resight.evaluation.measures.clustering import (
    ClusterResult,
    adjusted_mutual_information,
    cluster,
    normalised_mutual_information,
)
from resight.evaluation.measures.labels import LabelResult, PerQuery, evaluate_labels
from resight.evaluation.measures.landmarks import RevisitedResult, evaluate_revisited
from resight.evaluation.measures.recognition import (
    average_precisions_at_100,
    mean_average_precision_at_100,
    micro_average_precision,
    micro_average_precision_interval,
)
from resight.evaluation.measures.retrieval import (
    average_precision,
    map_at_r,
    precision_at,
    r_precision,
    recall_at_k,
    rectangular_at_100,
    trapezoidal,
)
from resight.evaluation.measures.separation import Separation, separation
from resight.evaluation.own_descriptors import OwnResult, evaluate_descriptors
from resight.evaluation.pictures import first_answers
from resight.evaluation.quantity import Quantity
from resight.evaluation.recognition import evaluate_recognition, measure_predictions
from resight.evaluation.refinement import Refinement
from resight.evaluation.result import Measure, Result, read_result, write_result
from resight.evaluation.statistics import Interval, PairedTest, bootstrap, most_changed, paired
from resight.evaluation.waterfall import Stage, Steps, Waterfall, evaluate_waterfall

__all__ = [
    "ClusterResult",
    "Comparison",
    "Interval",
    "LabelResult",
    "LandmarkDescriptors",
    "Measure",
    "NamedDescriptors",
    "OwnResult",
    "PairedTest",
    "PerQuery",
    "ProtocolCard",
    "Quantity",
    "Refinement",
    "Result",
    "RevisitedResult",
    "Separation",
    "Stage",
    "Steps",
    "Waterfall",
    "adjusted_mutual_information",
    "average_precision",
    "average_precisions_at_100",
    "bootstrap",
    "cluster",
    "compare",
    "describe_landmarks",
    "describe_set",
    "evaluate_benchmark",
    "evaluate_descriptors",
    "evaluate_labels",
    "evaluate_landmarks",
    "evaluate_recognition",
    "evaluate_revisited",
    "evaluate_waterfall",
    "first_answers",
    "map_at_r",
    "mean_average_precision_at_100",
    "measure_descriptors",
    "measure_predictions",
    "measure_set",
    "measure_similarities",
    "micro_average_precision",
    "micro_average_precision_interval",
    "most_changed",
    "normalised_mutual_information",
    "paired",
    "precision_at",
    "r_precision",
    "read_descriptors",
    "read_result",
    "recall_at_k",
    "rectangular_at_100",
    "separation",
    "trapezoidal",
    "write_result",
]
