"""Names people can type for a model, and what loads it. Importing this costs nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from resight.errors import InvalidBundle, InvalidInput, ModelMismatch, UnknownModel
from resight.files import nearest, shown, typed_path
from resight.models import bundle as bundles
from resight.models.bundle import Bundle
from resight.models.catalogue import Trunk, build_net, find_trunk, has_weights, trunks
from resight.models.checkpoints import cached_bundle, checkpoints, load_published
from resight.models.composite import ARCHITECTURE as COMPOSITE
from resight.models.composite import SOURCES, Composite, PairName
from resight.models.describer import Describer
from resight.models.model import Model
from resight.models.packaged import has_lite0, load_lite0, load_xfeat, made_to_join
from resight.models.parts import WHITENED, split
from resight.networks.trunks._timm import require_torch
from resight.settings.foreign import is_dotted

__all__ = ["ZooEntry", "available", "load_model", "load_recorded", "model_of"]

_LOG = logging.getLogger(__name__)

_TIMM = "timm:"
_LITE0 = "efficientnet-lite0"
_XFEAT = "xfeat"
_FAST = "sift-fast"
# 0.55 of the time of sift at 640 pixels, at nearly its quality: docs/measurements.md.
_FAST_SIDE = 460
# Of a global score beside that of sift: the best mean over four kinds of photos, benchmarks/joint_weights.py.
_WEIGHT = 0.5
_SIFT_WEIGHTS = Path(__file__).parent / "weights" / "sift.safetensors"


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """A model that can be loaded by name.

    Attributes:
        name: What `load_model` takes.
        summary: What it is, in a few words.
        dim: Length of its descriptors.
        megabytes: Size of its weights, 10^6 bytes; ``None`` where unknown.
        licence: Licence of the weights, as their publisher states it.
        needs: The extra to be installed for it, or ``None``.
        local: Whether its weights are on this machine; ``None`` where nobody looked.
        published: Figures of retrieval that its authors or others published, and who; ``None`` where none is
            known.
    """

    name: str
    summary: str
    dim: int
    megabytes: float | None
    licence: str
    needs: str | None
    local: bool | None = None
    published: str | None = None


def available(*, look: bool = False) -> list[ZooEntry]:
    """Returns the models that have a name, `sift` first. ``timm:NAME`` and bundles' paths come on top.

    Args:
        look: Whether to look which weights are on this machine.

    Raises:
        InvalidBundle: The weights file that comes with the package is missing or damaged.
    """
    header = bundles.read_header(_SIFT_WEIGHTS)
    sift = ZooEntry(
        "sift",
        "aggregated RootSIFT with local features, no network, works offline",
        header.shapes["projection"][0],
        round(_SIFT_WEIGHTS.stat().st_size / 1e6, 1),
        header.licence,
        None,
        local=True,
    )
    fast = replace(sift, name=_FAST, summary=f"sift at {_FAST_SIDE} pixels, in 0.55 of its time")
    lite0 = ZooEntry(
        _LITE0,
        "GeM over EfficientNet-Lite0, ImageNet; fast, works offline",
        320,
        18.8,
        "apache-2.0",
        "lite0",
        local=has_lite0() if look else None,
    )
    frozen = [
        ZooEntry(
            name,
            trunk.summary,
            trunk.dim,
            trunk.megabytes,
            trunk.licence,
            "torch",
            has_weights(trunk) if look else None,
            trunk.published,
        )
        for name, trunk in trunks().items()
    ]
    authors = [
        ZooEntry(
            name,
            each.about,
            each.dim,
            each.megabytes,
            each.licence,
            "torch",
            cached_bundle(each) is not None if look else None,
            each.published,
        )
        for name, each in checkpoints().items()
    ]
    return [sift, fast, lite0, *frozen, *authors]


def load_model(name_or_path: str | Path) -> Model:
    """Returns a model by name or from its bundle.

    Args:
        name_or_path: A name of `available`, where the pooling is the trunk's own possibly with ``-gem`` (GeM
            of its patches) or ``-both``; ``timm:`` and the name of any timm trunk with weights (also
            ``timm:hf-hub:OWNER/NAME`` and ``timm:local-dir:PATH``), described by GeM with p = 3; or a
            bundle's path. Behind each of these ``+sift``, ``+xfeat`` or ``+`` and the path of a bundle with
            local features adds those; the descriptor of ``sift`` is joined to the other one unless
            ``:local`` follows.

    Raises:
        UnknownModel: No such name and no such file, or neither text nor a path.
        InvalidBundle: The file is no bundle, or a damaged or newer one.
        WeightsUnavailable: Pretrained weights are not here and cannot be fetched.
        MissingExtra: The model needs an optional part that is not installed.
        InvalidInput: Both sides of a ``+`` do not go together.
    """
    if not isinstance(name_or_path, str | Path):
        kind = type(name_or_path).__name__
        raise UnknownModel(f"a model is named by text or by the path of a bundle, not by {kind}: try 'sift'")
    name = str(name_or_path)
    pair = PairName.parse(name)
    return _describing(_load_one(name)) if pair is None else _load_pair(pair, _load_one)


def _describing(model: Model) -> Model:
    """Returns the model, which must have a descriptor.

    Raises:
        UnknownModel: It has local features alone.
    """
    if not model.dim:
        raise UnknownModel(
            f"{model.name} is a source of local features and no model by itself: put it behind one, as in "
            "efficientnet-lite0+xfeat"
        )
    return model


def _load_one(name: str) -> Model:
    if name == _XFEAT:
        return load_xfeat()
    if name == "sift":
        return model_of(bundles.read(_SIFT_WEIGHTS), name=name)
    if name == _FAST:
        sift = bundles.read(_SIFT_WEIGHTS)
        smaller = replace(sift.preprocessing, max_side=_FAST_SIDE)
        return model_of(replace(sift, preprocessing=smaller), name=name)
    if name == _LITE0:
        return load_lite0()
    if trunk := find_trunk(name):
        return _load_trunk(trunk)
    if name in checkpoints():
        return _load_checkpoint(name)
    if name.startswith(_TIMM):
        return _load_timm(name.removeprefix(_TIMM), name)
    path = typed_path(name)
    if not path.is_file():
        raise UnknownModel(f"there is no model {name!r} and no bundle at that path{_hint(name)}")
    # Resolved, because a collection remembers the name and may be opened from another folder.
    return model_of(bundles.read(path), name=str(path.resolve()))


def load_recorded(name: str, fingerprint: str) -> Model:
    """Returns the model that a file names, such as the header of a collection, without trusting the file.

    No server is asked and nothing but a bundle is read: the model is one of `available` or ``timm:NAME`` with
    weights in the local cache, or a bundle on this machine whose header has the fingerprint.

    Args:
        name: As the file has it.
        fingerprint: Of the model, as the file has it.

    Raises:
        UnknownModel: The name is none of these, or there is no bundle.
        InvalidBundle: The file is no bundle, or a damaged or newer one.
        ModelMismatch: The bundle is another model.
        WeightsUnavailable: The weights are not in the local cache.
        MissingExtra: The model needs an optional part that is not installed.
    """
    # Windows takes //HOST/PATH for a folder of another machine: it is not even looked for.
    if "://" in name or any(part.startswith(("//", r"\\")) for part in name.split("+")):
        raise _elsewhere(name)
    pair = PairName.parse(name)
    if pair is None:
        return _describing(_load_recorded_one(name, fingerprint))
    model = _load_pair(pair, lambda part: _load_recorded_one(part, None))
    if model.fingerprint != fingerprint:
        raise _mismatch(f"the model {name}", model.fingerprint, fingerprint)
    return model


def _elsewhere(name: str) -> UnknownModel:
    return UnknownModel(
        f"the recorded model {shown(name)!r} lies elsewhere, and is loaded only where that is allowed: name "
        "the model yourself, or allow downloads"
    )


def _load_recorded_one(name: str, fingerprint: str | None) -> Model:
    """Returns one model; a bundle must have the fingerprint where one is given."""
    if name in ("sift", _FAST, _LITE0, _XFEAT):
        return _load_one(name)
    if trunk := find_trunk(name):
        return _load_trunk(trunk, download=False)
    if name in checkpoints():
        return _load_checkpoint(name, download=False)
    if name.startswith(_TIMM) and ":" not in name.removeprefix(_TIMM):
        return _load_timm(name.removeprefix(_TIMM), name, download=False)
    if name.startswith(_TIMM):
        raise _elsewhere(name)
    if fingerprint is not None and Path(name).is_file():
        own = bundles.read_header(name).fingerprint
        if own != fingerprint:
            raise _mismatch(f"the bundle {name}", own, fingerprint)
    return _load_one(name)


def model_of(bundle: Bundle, *, name: str) -> Model:
    """Returns the model that a bundle holds.

    Args:
        bundle: As `Model.to_bundle` or `resight.models.bundle.read` returns it.
        name: What the model is called, and the bundle in messages.

    Raises:
        InvalidBundle: A part is missing or does not fit, or its kind is not known here.
        MissingExtra: The model needs an optional part that is not installed.
    """
    parts = split(bundle, name=name)
    kind = parts.describer.architecture
    # A dotted name is a network of another package, which must have been imported.
    loader = _load_network if is_dotted(kind) else _LOADERS.get(kind)
    if loader is None:
        raise InvalidBundle(
            f"the bundle {name} holds a model of kind {kind!r} and this Resight knows "
            f"{', '.join(sorted([*_LOADERS, WHITENED]))}: upgrade Resight"
        )
    describer = loader(parts.describer, name)
    try:
        return Model(
            describer,
            name=name,
            whitenings=parts.whitenings,
            codec=parts.codec,
            licence=parts.licence,
            provenance=parts.provenance,
            training=bundle.training,
            fingerprint=bundle.fingerprint,
        )
    except InvalidInput as error:
        what = "is no whole whitened model" if parts.whitenings else "makes no network"
        raise InvalidBundle(f"the bundle {name} {what}: {error}") from None


def _hint(name: str) -> str:
    whole, plus, local = name.rpartition("+")
    if plus and whole:
        return (
            f"; if {whole!r} is the model that is meant, behind the + stands {', '.join(SOURCES)} or the "
            f"path of a bundle that has local features, and not {local!r}"
        )
    known = ["sift", _FAST, _LITE0, *trunks(), *checkpoints()]
    if near := nearest(name, known, most=3):
        return f": did you mean {' or '.join(near)}?"
    return f": known are {', '.join(known)}, timm:NAME for any trunk of timm, and the path of a bundle"


def _mismatch(what: str, own: str, recorded: str) -> ModelMismatch:
    return ModelMismatch(
        f"{what} has the fingerprint {own[:12]} and not the recorded {recorded[:12]}: name the model that is "
        "meant"
    )


def _load_pair(pair: PairName, load: Callable[[str], Model]) -> Model:
    """Returns the model of two names; ``load`` makes a model of each."""
    if PairName.parse(pair.whole) is not None:
        raise InvalidInput(f"the model {pair.whole} has its local features: put nothing behind it")
    whole, local = _describing(load(pair.whole)), load(pair.local)
    # Descriptors of networks know what local ones of a network know; sift's differs from all of them.
    joined = local.facts.kind == "sift" and not pair.alone
    whole, weight = (made_to_join(whole), _WEIGHT) if joined else (whole, None)
    licences = {each.licence.lower(): each.licence for each in (whole, local)}
    return Model(
        Composite(whole, local, weight=weight),
        name=str(replace(pair, whole=whole.name, local=local.name)),
        codec=local.codec,
        licence=" and ".join(licences.values()),
        provenance="; ".join(
            f"{side}: {' '.join(', '.join(model.facts.provenance).split())}"
            for side, model in (("descriptor", whole), ("local features", local))
        ),
    )


def _load_sift(bundle: Bundle, name: str) -> Describer:
    from resight.models.sift.sift import Sift

    return Sift(bundle, name=name)


def _load_network(bundle: Bundle, name: str) -> Describer:
    require_torch(f"the model {name}")
    from resight.models.network_describer import NetworkDescriber

    return NetworkDescriber.from_bundle(bundle, name=name)


def _load_xfeat_bundle(bundle: Bundle, name: str) -> Describer:
    require_torch(f"the model {name}")
    from resight.models.xfeat import XFeatDescriber

    return XFeatDescriber.from_bundle(bundle, name=name)


def _load_delg(bundle: Bundle, name: str) -> Describer:
    require_torch(f"the model {name}")
    from resight.models.delg_describer import DELGDescriber

    return DELGDescriber.from_bundle(bundle, name=name)


def _load_trunk(trunk: Trunk, *, download: bool = True) -> Model:
    if trunk.pooling == "gem":
        return _load_timm(trunk.timm, trunk.name, download=download)
    require_torch(f"the model {trunk.name}")
    from resight.models.network_describer import NetworkDescriber

    net = build_net(trunk, download=download)
    return Model(
        NetworkDescriber(net, max_side=trunk.max_side, scales=(1.0,)),
        name=trunk.name,
        licence=net.trunk.licence,
        provenance=f"weights of {trunk.timm} through timm; {trunk.summary}, not fine-tuned",
    )


def _load_checkpoint(name: str, *, download: bool = True) -> Model:
    require_torch(f"the model {name}")
    return model_of(load_published(checkpoints()[name], download=download), name=name)


def _load_timm(trunk: str, name: str, *, download: bool = True) -> Model:
    require_torch(f"the model {name}")
    from resight.models.network_describer import NetworkDescriber
    from resight.networks.clamping import CLAMPED, clamped_share
    from resight.networks.gem import GeMNet, GeMNetConfig, signed_pooling
    from resight.networks.trunks.backbone import Backbone

    backbone = Backbone(trunk, pretrained=True, download=download, out_indices=(-1,))
    pooling = signed_pooling(backbone, GeMNetConfig().pooling)
    net = GeMNet(backbone, GeMNetConfig(pooling))
    share = clamped_share(net, *(backbone.image_size or (64, 64)))
    if share > CLAMPED:
        _LOG.warning(
            "GeM takes no negative activations: %.0f %% of what %s gives it, by magnitude, is lost; train a "
            "network on it with the pooling signed_gem or spoc",
            100 * share,
            name,
        )
    words = {"gem": "GeM with p = 3", "signed_gem": "signed GeM with p = 3", "class_token": "the class token"}
    return Model(
        NetworkDescriber(net),
        name=name,
        licence=backbone.licence,
        provenance=f"weights of {trunk} through timm; {words[pooling.kind]}, not fine-tuned",
    )


_LOADERS: Mapping[str, Callable[[Bundle, str], Describer]] = {
    "cgd": _load_network,
    COMPOSITE: lambda bundle, name: Composite.from_bundle(
        bundle, name, lambda part, own: model_of(part, name=own)
    ),
    "delg": _load_delg,
    "dolg": _load_network,
    "embedding": _load_network,
    "gem": _load_network,
    "sift": _load_sift,
    "xfeat": _load_xfeat_bundle,
}
