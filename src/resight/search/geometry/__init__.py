"""Geometry: matching local features, fitting transforms, verifying a ranking by them."""
