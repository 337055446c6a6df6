"""Keypoints from attention maps, for networks and maps of one's own.

`resight.models.LocalDescriber` does all of it for a `resight.models.DELG`. Here are its parts: what a cell
of a map sees (`resight.models.receptive_field.receptive_field` computes it from a trunk's layers), and the
choice of keypoints from the maps of several sizes of a photo. Nothing here needs torch.
"""

from resight.models.keypoints import LEAST_SIDE, LocalMaps, LocalSettings, ReceptiveField, keypoints_of

__all__ = ["LEAST_SIDE", "LocalMaps", "LocalSettings", "ReceptiveField", "keypoints_of"]
