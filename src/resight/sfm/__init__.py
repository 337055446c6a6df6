"""Structure from motion: photos without labels to 3D models, and these to tuples for training."""

from resight.datasets.retrieval_sfm import read_retrieval_sfm, write_retrieval_sfm
from resight.datasets.tuple_set import TupleSet
from resight.datasets.tuples import read_tuples
from resight.sfm.candidates import candidate_pairs, linked_pairs
from resight.sfm.colmap import ColmapModel, find_models, read_model
from resight.sfm.covisibility import Covisibility, covisibility
from resight.sfm.database import ReconstructionConfig
from resight.sfm.mapping import every_pair, reconstruct
from resight.sfm.mining import hard_negatives
from resight.sfm.models import read_reconstruction
from resight.sfm.reconstruction import Cluster, Reconstruction
from resight.sfm.tables import write_tables
from resight.sfm.tuples import PositiveConfig, select_positives

__all__ = [
    "Cluster",
    "ColmapModel",
    "Covisibility",
    "PositiveConfig",
    "Reconstruction",
    "ReconstructionConfig",
    "TupleSet",
    "candidate_pairs",
    "covisibility",
    "every_pair",
    "find_models",
    "hard_negatives",
    "linked_pairs",
    "read_model",
    "read_reconstruction",
    "read_retrieval_sfm",
    "read_tuples",
    "reconstruct",
    "select_positives",
    "write_retrieval_sfm",
    "write_tables",
]
