"""``resight evaluate``: models and other people's descriptors measured, and two results compared."""

from __future__ import annotations

from resight.cli import evaluate_options as given
from resight.cli.options import JsonOption

__all__ = ["EXAMPLE", "evaluate"]

EXAMPLE = (
    "Example:\n\n  resight evaluate sift cub200 --root ~/CUB_200_2011 --out sift.json --html sift.html\n\n"
    "  resight evaluate sift roxford5k --root ~/roxford5k --verify 100 --protocol delg\n\n"
    "  resight evaluate --descriptors theirs.npy --names names.txt --ground-truth gnd_roxford5k.pkl\n\n"
    "  resight evaluate --compare sift.json trained.json\n\n"
    "Only test images are used. Labelled sets: folder, table, cub200, cars196, sop, inshop. Landmarks: "
    "roxford5k, rparis6k, oxford5k, paris6k, holidays, gldv2, gldv2-recognition, and revisited: any folder "
    "with gnd_*.pkl, jpg/ and queries/."
)


def evaluate(
    model: given.ModelArgument = None,
    benchmark: given.BenchmarkArgument = None,
    root: given.RootOption = None,
    boxes: given.BoxesOption = False,
    clusters: given.ClustersOption = True,
    selection: given.SelectionOption = "not stated",
    seed: given.SeedOption = 0,
    html: given.HtmlOption = None,
    out: given.OutOption = None,
    compare: given.CompareOption = None,
    whole_queries: given.WholeQueriesOption = False,
    distractors: given.DistractorsOption = None,
    expand: given.ExpandOption = 0,
    verify: given.VerifyOption = 0,
    protocol: given.ProtocolOption = "default",
    waterfall: given.WaterfallOption = False,
    whitening: given.WhiteningOption = None,
    descriptors: given.DescriptorsOption = None,
    names: given.NamesOption = None,
    similarities: given.SimilaritiesOption = None,
    predictions: given.PredictionsOption = None,
    ground_truth: given.GroundTruthOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model or descriptors on a benchmark, or compare two results."""
    from resight.cli.evaluate_compare import compare_results
    from resight.cli.evaluate_given import evaluate_given
    from resight.cli.evaluate_labels import evaluate_labelled
    from resight.cli.evaluate_landmarks import evaluate_landmark, is_landmark
    from resight.datasets import entry_named

    output = given.Output(root, html, out, selection, seed, as_json)
    files = given.Files(descriptors, names, similarities, predictions, ground_truth)
    options = given.LandmarkOptions(
        not whole_queries, distractors, expand, verify, waterfall, whitening, protocol
    )
    given.check(model, benchmark, output, files, options, compare, boxes=boxes)
    if benchmark is not None:
        entry_named(benchmark)
    if compare is not None:
        compare_results(compare, seed=seed, as_json=as_json)
    elif files.any:
        evaluate_given(files, options, output)
    elif is_landmark(benchmark):
        evaluate_landmark(str(model), str(benchmark), options, output)
    else:
        evaluate_labelled(str(model), str(benchmark), output, boxes=boxes, clusters=clusters)
