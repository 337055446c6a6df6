import pytest

from resight.reports.verdict import verdict


@pytest.mark.parametrize(
    ("inliers", "kind"),
    [
        (None, "similar"),
        (0, "unlikely"),
        (11, "unlikely"),
        (12, "likely"),
        (19, "likely"),
        (20, "confirmed"),
        (400, "confirmed"),
    ],
)
def test_inliers_decide(inliers, kind):
    assert verdict(inliers, None).kind == kind
    assert verdict(inliers, None if inliers is None else inliers - 0.1).kind == kind


@pytest.mark.parametrize("inliers", [0, 12, 20, 400])
def test_no_more_than_chance_gives_is_nothing(inliers):
    assert verdict(inliers, float(inliers)).kind == "unlikely"


def test_the_reason_counts_in_good_english():
    assert "only 1 point agrees" in verdict(1, None).reason
    assert "only 0 points agree in arrangement; chance would give 0." in verdict(0, 0.3).reason
    assert verdict(40, None).reason.startswith("40 points of the query")
    assert verdict(57, 4.2).reason.endswith("in this photo; chance would give 4.")
    assert verdict(15, 6.0).reason == "15 points agree where chance would give 6: too few to be certain."
    assert "but 15 points agree in arrangement; chance would give 16." in verdict(15, 16.0).reason
