"""What people do with all this: values in, values out."""

from __future__ import annotations

__all__: list[str] = []
