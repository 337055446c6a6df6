"""What people do with photos and models: values in, values out, nothing printed.

Each module is one job, named after its command: ``index``, ``describe``, ``whiten``, ``compact``, ``rerank``,
``classify``, ``groups``, ``calibrate``, ``evaluate``, ``recipes``, ``demo``; ``answers`` takes the answers
of a search further and ``metadata`` reads the tables that ``index`` and ``classify`` take. How far a job is,
a function ``progress(done, total)`` is told.
"""

from __future__ import annotations

__all__: list[str] = []
