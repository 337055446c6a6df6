"""Kills commands at every system call that writes, and lets the disk be full from each write on.

    python benchmarks/every_write.py [--only NAME ...] [--seconds N] [--moments N] [--json FILE]

A command first runs to its end; its writing calls are counted, and its outputs are the new ones. Then, for
each call, it runs again from the same beginning and is killed just before that call; at each third call that
writes bytes it is killed once more after half of them, and once the disk is full from there on. Each time the
outputs must be the old or the new ones and no mixture, a full disk must be one sentence that names what the
user named, and the same command, run again, must leave what an uninterrupted one leaves: the same outputs and
no other file. With ``--seconds`` calls are a sample drawn by chance. With ``--moments`` each command is also
killed so often at moments drawn by chance from the time that it takes. For Linux on x86-64, with a C
compiler.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from PIL import Image
from tiny import write_photos, write_recipe

HERE = Path(__file__).parent
COUNTING, BEFORE, HALF, FULL = range(4)
MODES = {
    BEFORE: "killed before",
    HALF: "killed after half of",
    FULL: "disk full at",
    COUNTING: "killed after",
}
ROOM = 1 << 16
KILLED = 128 + 9
PATIENCE = 180.0
"""Seconds after which a run stands still: libraries were not made to be forked."""

LINKED = (
    *("photos", "earlier", "tiny.yaml", "delg.safetensors", "c", "e"),
    *("answers.json", "alexnet.pth", "models"),
)

Contents = dict[str, str]
"""What a folder holds, as it is compared: by name of file, or of photo in a collection."""


@dataclass(frozen=True)
class Command:
    """A command to be stopped.

    Attributes:
        name: In the table of results.
        words: Of the command line, run in the folder that is watched; photos and recipe lie beside it.
        first: Command lines that make what lies there before.
        named: What a message about a full disk must name.
        together: Outputs that must never be of different runs.
        writes: Whether it writes to a collection: then rows are compared, in a process of its own.
    """

    name: str
    words: Sequence[str]
    first: Sequence[Sequence[str]] = ()
    named: str = ""
    together: Sequence[str] = ()
    writes: bool = False


COMMANDS = [
    Command("index, new", ["index", "../photos", "--collection", "c"], named="c", writes=True),
    Command(
        "index, changed",
        ["index", "../photos", "--collection", "c", "--forget-missing"],
        [["index", "../earlier", "--collection", "c"]],
        named="c",
        writes=True,
    ),
    Command(
        "remove",
        ["remove", "c", "../photos/train/0", "../photos/train/1"],
        [["index", "../photos", "--collection", "c"]],
        named="c",
        writes=True,
    ),
    Command("train", ["train", "../tiny.yaml", "--run", "run", "--resume"], named="run"),
    Command(
        "describe",
        ["describe", "../photos", "--out", "d.npy"],
        [["describe", "../earlier", "--out", "d.npy"]],
        named="d.n",
        together=["d.npy", "d.names.txt"],
    ),
    Command(
        "describe --attention",
        ["describe", "../photos/train/0", "--model", "../delg.safetensors", "--attention", "a.jpg"],
        [["describe", "../photos/train/1", "--model", "../delg.safetensors", "--attention", "a.jpg"]],
        named="a.jpg",
    ),
    Command(
        "whiten",
        ["whiten", "../delg.safetensors", "../photos", "--dim", "4", "--out", "w.safetensors"],
        [["whiten", "../delg.safetensors", "../earlier", "--dim", "4", "--out", "w.safetensors"]],
        named="w.safetensors",
    ),
    Command(
        "compact",
        ["compact", "../delg.safetensors", "../photos", "--form", "bits-64", "--out", "s.safetensors"],
        [["compact", "../delg.safetensors", "../photos", "--form", "float16", "--out", "s.safetensors"]],
        named="s.safetensors",
    ),
    Command(
        "convert",
        ["convert", "../alexnet.pth", "--licence", "MIT", "--out", "x.safetensors"],
        [["convert", "../alexnet.pth", "--max-side", "64", "--out", "x.safetensors"]],
        named="x.safetensors",
    ),
    Command(
        "export",
        ["export", "../c", "--to", "faiss", "--out", "x.faiss"],
        [["export", "../e", "--to", "faiss", "--out", "x.faiss"]],
        named="x.",
        together=["x.faiss", "x.names.csv"],
    ),
    Command(
        "export, a folder",
        ["export", "../c", "--to", "clip-retrieval", "--out", "x"],
        [["export", "../e", "--to", "clip-retrieval", "--out", "x"]],
        named="x",
        together=["x/img_emb/img_emb_0.npy", "x/metadata/metadata_0.parquet"],
    ),
    Command(
        "adapt",
        ["adapt", "../delg.safetensors", "../photos", "--dim", "4", "--force", "--out", "m.safetensors"],
        [["adapt", "../delg.safetensors", "../photos", "--dim", "5", "--force", "--out", "m.safetensors"]],
        named="m.safetensors",
    ),
    Command(
        "tuples",
        ["tuples", "../photos", "--models", "../models", "--min-points", "1", "--out", "t"],
        [["tuples", "../earlier", "--models", "../models", "--min-points", "1", "--out", "t"]],
        named="t/",
        together=["t/photos.parquet", "t/pairs.parquet", "t/tuples.parquet"],
    ),
    Command(
        "evaluate",
        [
            "evaluate",
            "../delg.safetensors",
            "folder",
            "--root",
            "../photos",
            "--out",
            "r.json",
            "--html",
            "r.html",
        ],
        [["evaluate", "sift", "folder", "--root", "../photos", "--out", "r.json", "--html", "r.html"]],
        named="r.",
    ),
    Command(
        "search",
        [
            "search",
            "../c",
            "../photos/test/8/0.png",
            "--html",
            "s.html",
            "--csv",
            "s.csv",
            "--copy-to",
            "copies",
        ],
        [
            [
                "search",
                "../c",
                "../photos/test/9/1.png",
                "--html",
                "s.html",
                "--csv",
                "s.csv",
                "--copy-to",
                "copies",
            ]
        ],
        named="s.|copies",
    ),
    Command(
        "rerank",
        ["rerank", "--from", "../answers.json", "--method", "verify", "--out", "r.json"],
        [["rerank", "--from", "../answers.json", "--method", "verify", "--top", "2", "--out", "r.json"]],
        named="r.json",
    ),
    Command(
        "explain",
        ["explain", "../photos/test/8/0.png", "../photos/test/8/1.png", "--html", "e.html", "--out", "e.png"],
        [
            [
                "explain",
                "../photos/test/9/0.png",
                "../photos/test/8/1.png",
                "--html",
                "e.html",
                "--out",
                "e.png",
            ]
        ],
        named="e.",
    ),
]


@dataclass
class Outcome:
    """What became of one command.

    Attributes:
        calls: Its system calls that write below the folder.
        killed_before: How often it was killed before one.
        killed_after_half: How often after half of the bytes of one.
        killed_at_moments: How often at a moment drawn by chance.
        disk_full: How often the disk was full from one on.
        old: After how many of these the old outputs were there; of collections and runs, neither is counted.
        new: After how many the new ones.
        problems: What was wrong.
    """

    calls: int = 0
    killed_before: int = 0
    killed_after_half: int = 0
    killed_at_moments: int = 0
    disk_full: int = 0
    old: int = 0
    new: int = 0
    problems: list[str] = field(default_factory=list)


class Stopper:
    """Runs command lines of ``resight`` and stops them; see ``kill_at.c``."""

    def __init__(self, work: Path) -> None:
        """Compiles the C part, and imports what commands would import."""
        library = work / "kill_at.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, HERE / "kill_at.c"], check=True)
        # With the interpreter's lock held, as only one thread is there to go on after a fork.
        self._stopped_at = ctypes.PyDLL(str(library)).stopped_at
        self._command = ctypes.PYFUNCTYPE(None)
        for name in (
            "cli.app",
            "collection",
            "training",
            "training.trainer",
            "models",
            "pipelines",
            "reports",
            "evaluation",
        ):
            importlib.import_module(f"resight.{name}")
        for name in ("lance", "faiss", "cv2", "scipy.stats", "sklearn.cluster"):
            importlib.import_module(name)
        importlib.import_module("resight.networks.trunks._timm").import_timm("stopping commands")
        threads = {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")}
        # jemalloc, which came with Lance, can be forked; Lance has not begun to work here.
        if len(threads - {"jemalloc_bg_thd"}) > 1:
            raise SystemExit(f"importing has started threads, which forks would lose: {threads}")
        warnings.filterwarnings("ignore", "lance is not fork-safe")

    def run(
        self,
        words: Sequence[str],
        folder: Path,
        mode: int = COUNTING,
        at: int = 0,
        *,
        seconds: float = math.inf,
    ) -> tuple[int, str, str]:
        """Returns the exit code of a command line, what it said on standard error, and its calls by kind.

        Args:
            words: Of the command line, without ``resight``.
            folder: Where it runs, and below which writes count.
            mode: How it is stopped.
            at: At which call, from 1.
            seconds: After which it is killed wherever it is.
        """
        kinds = folder.with_name("kinds")
        said = folder.with_name("said")

        def command() -> None:
            os.chdir(folder)
            for descriptor, name in ((1, os.devnull), (2, said)):
                os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
            _resight(words)

        pid = os.fork()
        if pid == 0:
            buffer = ctypes.create_string_buffer(ROOM)
            place = os.fsencode(f"{folder}/")
            code = self._stopped_at(
                mode, ctypes.c_long(at), place, self._command(command), buffer, ctypes.c_long(ROOM)
            )
            kinds.write_bytes(buffer.value)
            os._exit(code)
        started = time.monotonic()
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            passed = time.monotonic() - started
            if passed > min(seconds, PATIENCE):
                # The processes that it traces end with it.
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                if passed > seconds:
                    return KILLED, "", ""
                raise TimeoutError(f"{' '.join(words)} stands still")
            time.sleep(0.02)
        return os.waitstatus_to_exitcode(ended[1]), said.read_text(), kinds.read_text()


def _resight(words: Sequence[str]) -> None:
    """Does what a command line says, in small commits, and ends the process."""
    from resight.cli import main as command
    from resight.collection import batching, store

    # So that stops meet compaction and clean-up, too.
    batching.COMMIT_PHOTOS, batching.COMPACT_EVERY, store.LOOSE_FRAGMENTS = 4, 3, 2
    code: object = 125
    # Not as a program of its own: what a program does at its end would remove the parent's temporary files.
    try:
        code = command(list(words))
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def write_checkpoint(path: Path) -> None:
    """Writes a checkpoint as the authors of cnnimageretrieval-pytorch write theirs."""
    shapes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    state = {"pool.p": torch.tensor([2.9])}
    for number, (out, into, side) in shapes.items():
        state[f"features.{number}.weight"] = torch.full((out, into, side, side), 0.01)
        state[f"features.{number}.bias"] = torch.zeros(out)
    meta = {"architecture": "alexnet", "pooling": "gem", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.2]}
    torch.save({"state_dict": state, "meta": meta}, path)


def write_model(folder: Path) -> None:
    """Writes a 3D model of two of the photos, as COLMAP writes it in text."""
    folder.mkdir()
    (folder / "cameras.txt").write_text("1 SIMPLE_PINHOLE 96 80 90 48 40\n")
    poses = {1: "1 0 0 0 0 0 0 1 train/0/0.png", 2: "1 0 0 0 0.5 0 0 1 train/0/1.png"}
    (folder / "images.txt").write_text("".join(f"{key} {pose}\n\n" for key, pose in poses.items()))
    (folder / "points3D.txt").write_text("".join(f"{n} {n} 0 9 0 0 0 0.5 1 {n} 2 {n}\n" for n in range(9)))


class Collections:
    """Reads collections in a process of its own: the one that forks must not start Lance's threads."""

    def __init__(self) -> None:
        """Starts the process."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--read"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self, folder: Path) -> tuple[Contents, list[str]]:
        """Returns the rows of a collection, each as a hash, by path, and the files that it does not need."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(folder, file=self._process.stdin, flush=True)
        rows, strays = json.loads(self._process.stdout.readline())
        return rows, strays

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def read_collections() -> None:
    """Answers each line of standard input, the folder of a collection, with a line of JSON."""
    import lance

    for line in sys.stdin:
        table = Path(line.strip(), "photos.lance")
        rows: Contents = {}
        strays: list[str] = []
        if any((table / "_versions").glob("*.manifest")):
            dataset = lance.dataset(table)
            for number, row in enumerate(dataset.to_table().to_pylist()):
                key = f"{row['root']} {row['path']}"
                # The times of photos that were copied differ between works.
                values = {
                    name: value for name, value in row.items() if name not in ("modified_ns", "_checksum")
                }
                key = key if key not in rows else f"{key}, again as {number}"
                rows[key] = hashlib.sha256(repr(values).encode()).hexdigest()
            fragments = dataset.get_fragments()
            needed = {"_versions/latest_version_hint.json"}
            needed |= {f"data/{file.path}" for fragment in fragments for file in fragment.metadata.files}
            needed |= {str(fragment.deletion_file()) for fragment in fragments}
            newest = 2**64 - 1 - dataset.version
            needed.add(f"_versions/{newest}.manifest")
            present = [str(file.relative_to(table)) for file in table.rglob("*") if file.is_file()]
            strays = [name for name in present if name not in needed]
        print(json.dumps([rows, strays]), flush=True)


def contents(folder: Path) -> Contents:
    """Returns a hash of each file below a folder that is the same whenever a command has done the same."""
    found = {}
    for path in sorted(folder.rglob("*")):
        # The rows of collections are compared where these are the output; a lock names its last holder.
        if path.is_dir() or "photos.resight" in path.parts or path.name == "writer.lock":
            continue
        data = path.read_bytes()
        if path.name in ("result.json", "environment.json"):
            values = json.loads(data)
            for name in ("seconds", "images_per_second", "peak_memory", "bundle_fingerprint"):
                values.pop(name, None)
            data = json.dumps(values).encode()
        # Times are in these.
        if path.name in ("log.jsonl", "last.pt", "test.json"):
            data = b""
        found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found


def damage(folder: Path) -> list[str]:
    """Returns what is not whole in the folder of a run."""
    from resight.errors import ResightError
    from resight.models import bundle
    from resight.training import checkpoint
    from resight.training.packed import PackedImages

    readers: dict[str, Callable[[Path], object]] = {
        "last.pt": checkpoint.read,
        "best.pt": checkpoint.read_weights,
        "model.safetensors": bundle.read,
        "result.json": lambda path: json.loads(path.read_text()),
        "test.json": lambda path: json.loads(path.read_text()),
        "environment.json": lambda path: json.loads(path.read_text()),
    }
    problems = []
    for path in folder.rglob("*"):
        read = readers.get(path.name)
        read = (lambda path: PackedImages(path, verify=True)) if path.suffix == ".pack" else read
        try:
            if read is not None and not path.name.startswith("."):
                read(path)
        except (ResightError, ValueError) as error:
            problems.append(f"{path.name}: {error}")
    return problems


class Trial:
    """One command, stopped again and again."""

    def __init__(self, command: Command, work: Path, stopper: Stopper, collections: Collections) -> None:
        """Makes what was there before, and runs the command once to its end."""
        self.command, self.work, self.stopper, self.collections = command, work, stopper, collections
        self.outcome = Outcome()
        self.folder, self.before = work / "run", work / "before"
        for place in (self.folder, self.before):
            shutil.rmtree(place, ignore_errors=True)
        self.before.mkdir()
        for words in command.first:
            code, said, _ = self._run(words, self.before)
            if code:
                raise SystemExit(f"{words}: {said}")
        self.old = self._contents(self.before)
        self._begin()
        started = time.monotonic()
        code, said, self.kinds = self._run(command.words, self.folder)
        self.seconds = time.monotonic() - started
        if code not in (0, 4):
            raise SystemExit(f"{command.words}: {said}")
        self.code, self.new = code, self._contents(self.folder)
        # The last commits of a command come after its clean-up.
        self.strays = self.collections.read(self.folder / "c")[1] if command.writes else []
        self.outcome.calls = len(self.kinds)

    def go(self, *, seconds: float, moments: int) -> Outcome:
        """Returns what became of stopping it before its calls, and at a third of those that write bytes.

        Calls come in an order drawn by chance, so that those before the time is over are a sample of all.
        """
        end = time.monotonic() + seconds
        bytes_written = [place for place, kind in enumerate(self.kinds, 1) if kind == "b"]
        torn = frozenset(bytes_written[::3])
        for place in random.Random(0).sample(range(1, len(self.kinds) + 1), len(self.kinds)):
            if time.monotonic() > end:
                break
            self._stop(BEFORE, place)
            if place in torn:
                self._stop(HALF, place)
                self._stop(FULL, place)
        rng = random.Random(1)
        for _ in range(2 * moments):
            if self.outcome.killed_at_moments == moments:
                break
            # A moment at the very end may come after it.
            self._stop(COUNTING, 0, seconds=rng.uniform(0, self.seconds))
        return self.outcome

    def _begin(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.before, self.folder)

    def _run(
        self, words: Sequence[str], folder: Path, mode: int = COUNTING, at: int = 0, seconds: float = math.inf
    ) -> tuple[int, str, str]:
        return self.stopper.run(words, folder, mode, at, seconds=seconds)

    def _contents(self, folder: Path) -> Contents:
        return self.collections.read(folder / "c")[0] if self.command.writes else contents(folder)

    def _stop(self, mode: int, at: int, seconds: float = math.inf) -> None:
        for attempt in range(3):
            self._begin()
            try:
                self._stop_once(mode, at, seconds)
            except TimeoutError as error:
                print(f"{error}: attempt {attempt + 1} at call {at}", file=sys.stderr, flush=True)
            else:
                return
        self.outcome.problems.append(f"{MODES[mode]} call {at}: it stands still")

    def _stop_once(self, mode: int, at: int, seconds: float) -> None:
        code, said, _ = self._run(self.command.words, self.folder, mode, at, seconds)
        outcome = self.outcome
        where = f"{MODES[mode]} {f'call {at}' if at else f'{seconds:.2f} s'}"
        if mode == FULL:
            outcome.disk_full += 1
            self._look_at_message(code, said, where)
        elif code == KILLED:
            outcome.killed_before += mode == BEFORE
            outcome.killed_after_half += mode == HALF
            outcome.killed_at_moments += mode == COUNTING
        elif code != self.code:
            outcome.problems.append(f"{where}: exit code {code}: {said.strip()}")
        try:
            self._look_at_outputs(where)
            code, said, _ = self._run(self.command.words, self.folder)
            # A removal that was killed at its very end has nothing left to remove.
            if code != self.code and "nothing was removed" not in said:
                outcome.problems.append(f"{where}: run again, it failed: {said.strip()}")
            left = self._contents(self.folder)
            if left != self.new:
                differing = sorted(
                    name for name in {*left, *self.new} if left.get(name) != self.new.get(name)
                )
                outcome.problems.append(f"{where}: run again, these are not as they should be: {differing}")
            if self.command.writes:
                strays = self.collections.read(self.folder / "c")[1]
                if len(strays) > len(self.strays):
                    outcome.problems.append(f"{where}: run again, these stay: {strays}")
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:
            outcome.problems.append(f"{where}: {error!r}")

    def _look_at_message(self, code: int, said: str, where: str) -> None:
        # Before the sentence, a training says on what it runs.
        *before, sentence = [line for line in said.splitlines() if line.startswith("resight: ")] or [""]
        named = any(name in sentence for name in self.command.named.split("|"))
        lines = [sentence, *(line for line in before if "precision" not in line)]
        hidden = any(mark in said for mark in (".partial", ".tmp", "Traceback", "should not have happened"))
        if code not in (1, self.code) or (code == 1 and (len(lines) != 1 or not named or hidden)):
            self.outcome.problems.append(f"{where}: exit code {code}: {said.strip()}")

    def _look_at_outputs(self, where: str) -> None:
        """Looks for outputs that are neither the old nor the new ones."""
        problems = self.outcome.problems
        if self.command.name == "train":
            problems += [f"{where}: {each}" for each in damage(self.folder)]
            return
        now = self._contents(self.folder)
        if self.command.writes:
            wrong = [name for name in now if now[name] not in (self.old.get(name), self.new.get(name))]
            lost = [name for name in self.old if name in self.new and name not in now]
            problems += [f"{where}: wrong or lost: {wrong + lost}"] if wrong + lost else []
            return
        shown = {name: value for name, value in now.items() if not re.search(r"(^|/)\.", name)}
        wrong = [name for name in shown if shown[name] not in (self.old.get(name), self.new.get(name))]
        problems += [f"{where}: neither old nor new: {wrong}"] if wrong else []
        together = [name for name in self.command.together if name in shown]
        if together:
            ages = {
                (shown[name] == self.old.get(name), shown[name] == self.new.get(name)) for name in together
            }
            problems += [f"{where}: a mixture: {together}"] if len(ages) > 1 else []
        self.outcome.old += shown == self.old
        self.outcome.new += shown == self.new


def main() -> None:
    """Runs it and prints the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=[command.name for command in COMMANDS], help="these commands"
    )
    parser.add_argument("--seconds", type=float, default=math.inf, help="a sample of calls, for so long each")
    parser.add_argument("--moments", type=int, default=0, help="also so many kills each at any moment")
    parser.add_argument("--json", type=Path, help="also write the results there; others in it stay")
    arguments = parser.parse_args()
    results = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        stopper, collections = Stopper(work), Collections()
        write_photos(work / "photos")
        shutil.copytree(work / "photos", work / "earlier")
        write_recipe(work / "tiny.yaml", work / "photos")
        write_checkpoint(work / "alexnet.pth")
        write_model(work / "models")
        made = [["index", "photos", "--collection", "c"], ["train", "tiny.yaml", "--run", "trained"]]
        for words in made:
            code, said, _ = stopper.run(words, work)
            if code:
                raise SystemExit(f"{words}: {said}")
        shutil.copy(work / "trained" / "model.safetensors", work / "delg.safetensors")
        line = [sys.executable, "-m", "resight", "search", "c", "photos/test/8/0.png", "--json"]
        answers = subprocess.run(line, cwd=work, capture_output=True, check=False).stdout
        (work / "answers.json").write_bytes(answers)
        for path in sorted((work / "earlier").rglob("0.png"))[:4]:
            Image.effect_noise((96, 80), 80).convert("RGB").save(path)
        line = [sys.executable, "-m", "resight", "index", "earlier", "--collection", "e"]
        subprocess.run(line, cwd=work, capture_output=True, check=True)
        for command in COMMANDS:
            if arguments.only and command.name not in arguments.only:
                continue
            place = work / "trial"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            for name in LINKED:
                (place / name).symlink_to(work / name)
            outcome = Trial(command, place, stopper, collections).go(
                seconds=arguments.seconds, moments=arguments.moments
            )
            results[command.name] = asdict(outcome)
            print(json.dumps({command.name: asdict(outcome)}, indent=2), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(results, indent=2) + "\n")
        collections.close()
    if any(result["problems"] for result in results.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read_collections()
    else:
        main()
