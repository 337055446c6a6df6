"""What people do with photos and models: values in, values out, nothing printed.

Each module is one job, named after its command: ``index``, ``rerank``, ``classify``, ``demo``.
"""

from __future__ import annotations

__all__: list[str] = []
