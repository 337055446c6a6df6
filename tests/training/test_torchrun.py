"""The run's folder as it is given to torchrun, whose own options begin like ours."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import resight
from resight._torchrun import keep_run

SOURCE = Path(resight.__file__).parents[1]


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("torchrun -m resight train r.yaml --run mine", "torchrun -m resight train r.yaml --into mine"),
        ("/bin/torchrun -m resight train --run=mine", "/bin/torchrun -m resight train --into=mine"),
        (
            "torchrun --no-python /bin/resight train --run mine",
            "torchrun --no-python /bin/resight train --into mine",
        ),
        ("torchrun /bin/resight train --run mine", "torchrun /bin/resight train --into mine"),
        ("torchrun --run-path resight.py --run mine", "torchrun --run-path resight.py --run mine"),
        ("torchrun -m other --run mine", "torchrun -m other --run mine"),
        ("train.py resight --run mine", "train.py resight --run mine"),
        ("/bin/resight train r.yaml --run mine", "/bin/resight train r.yaml --run mine"),
    ],
)
def test_only_a_line_of_torchrun_that_starts_resight_is_changed(line, read, monkeypatch):
    monkeypatch.setattr(sys, "argv", line.split())
    keep_run()
    assert sys.argv == read.split()


def test_run_reaches_resight(tmp_path):
    declared = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())
    points = declared["project"]["entry-points"]["torch.backends"]
    installed = tmp_path / "declared-1.0.dist-info"
    installed.mkdir()
    (installed / "entry_points.txt").write_text(
        "\n".join(["[torch.backends]", *(f"{name} = {value}" for name, value in points.items())])
    )
    (tmp_path / "r.yaml").write_text("name: any\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", "-m", "resight"]
    done = subprocess.run(
        [*command, "train", "r.yaml", "--run", "mine"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{tmp_path}", "OMP_NUM_THREADS": "1"},
        timeout=200,
    )
    assert "resight: the recipe" in done.stderr, done.stderr
