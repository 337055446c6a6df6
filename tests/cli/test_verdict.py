import pytest

from resight.cli.verdict import verdict


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
    assert verdict(inliers).kind == kind


def test_the_reason_counts_in_good_english():
    assert "only 1 point agrees" in verdict(1).reason
    assert "only 0 points agree" in verdict(0).reason
    assert verdict(40).reason.startswith("40 points of the query")
