"""The field's measures, each to its formula."""
