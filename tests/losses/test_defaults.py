"""Default settings are part of every recipe that does not name them: other ones would be another training."""

from __future__ import annotations

import inspect

import pytest

from resight import losses

DEFAULTS = {
    "ArcFace": {"scale": 64.0, "margin": 0.5, "rule": "insightface", "learn_scale": False},
    "BatchHardTriplet": {"margin": 0.1, "soft": False, "normalise": True},
    "Classification": {"temperature": 0.5, "smoothing": 0.1},
    "Contrastive": {"margin": 0.7, "reduction": "active", "normalise": True},
    "CrossBatchMemory": {"warm_up": 0, "batch_weight": 0.0},
    "CurricularFace": {"scale": 64.0, "margin": 0.5},
    "HardTriple": {"centres": 10, "scale": 20.0, "margin": 0.01, "tau": 0.2},
    "MarginLoss": {
        "classes": None,
        "margin": 0.2,
        "beta": 1.2,
        "beta_per_class": False,
        "learn_beta": True,
        "nu": 0.0,
        "cutoff": 0.5,
        "nonzero_loss_cutoff": 1.4,
        "seed": 0,
        "normalise": True,
    },
    "MultiSimilarity": {"alpha": 2.0, "beta": 50.0, "base": 0.5, "epsilon": 0.1, "normalise": True},
    "NormalisedSoftmax": {"temperature": 0.05},
    "ProxyAnchor": {"scale": 32.0, "margin": 0.1},
    "ProxyNCA": {"scale": 9.0, "positive_in_denominator": False},
    "SmoothAP": {"temperature": 0.01, "normalise": True},
    "SoftTriple": {"centres": 10, "scale": 20.0, "gamma": 0.1, "margin": 0.01, "tau": 0.2},
    "SubCentreArcFace": {"centres": 3, "scale": 64.0, "margin": 0.5, "rule": "insightface"},
    "Triplet": {"margin": 0.1, "distance": "euclidean", "reduction": "active", "normalise": True},
    "TupleContrastive": {"margin": 0.7, "epsilon": 1e-6, "normalise": True},
    "TupleTriplet": {"margin": 0.1, "distance": "squared", "normalise": True},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_the_documented_ones(name):
    parameters = inspect.signature(getattr(losses, name)).parameters
    # A generator is no setting.
    defaults = {
        key: parameter.default
        for key, parameter in parameters.items()
        if parameter.default is not inspect.Parameter.empty and key != "generator"
    }
    assert defaults == DEFAULTS[name]


def test_every_loss_with_settings_is_in_the_table():
    kinds = {name for name in losses.__all__ if hasattr(getattr(losses, name), "kind")}
    assert kinds <= DEFAULTS.keys() | {"Mean"}
