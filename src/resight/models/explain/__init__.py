"""Which regions of two photos make their score."""
