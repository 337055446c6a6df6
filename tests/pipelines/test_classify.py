"""Things recognised by the labels of a collection's photos."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from grid_model import grid_model
from made_photos import picture, stored, write_photo

from resight.collection import Collection
from resight.errors import CollectionDamaged, InvalidInput, UnreadableImage
from resight.pipelines.classify import Classifier, stored_calibration
from resight.search.recognition import VotingRule

NAMES = ("arch", "bridge", "castle", "dome")


def noisy(path, number, seed):
    """Writes another photo of the thing with that number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([number, seed]).normal(0, 25, (64, 96, 3))
    pixels = np.clip(picture(number) + noise, 0, 255).astype(np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


@pytest.fixture
def labelled(tmp_path, model):
    """A collection of three photos of each of four things, and of three photos without a label."""
    labels = {}
    for number, name in enumerate(NAMES):
        for view in range(3):
            path = noisy(tmp_path / "photos" / f"{name}-{view}.png", number, view)
            labels[str(path)] = {"label": name, "order": number}
    for number in range(20, 23):
        write_photo(tmp_path / "photos" / f"other-{number}.png", number)
    collection = Collection.create(tmp_path / "labelled.resight", model=model, lock_timeout=0.2)
    collection.add(tmp_path / "photos", metadata=labels)
    return collection


def validation(folder, *, known=6, unknown=4):
    photos = {str(noisy(folder / f"known-{n}.png", n % 4, 10 + n)): NAMES[n % 4] for n in range(known)}
    return photos | {str(write_photo(folder / f"unknown-{n}.png", 50 + n)): "" for n in range(unknown)}


def test_another_photo_of_a_thing_gets_its_label(labelled, tmp_path):
    classifier = Classifier(labelled)
    assert classifier.labels == dict.fromkeys(NAMES, 3)
    found = classifier.classify(noisy(tmp_path / "new.png", 2, 9))
    assert (found.label, found.best, found.verified) == ("castle", "castle", True)
    assert {vote.label for vote in found.votes} == {"castle"}
    assert {vote.label for vote in found.others}.isdisjoint({"castle"})
    assert len(found.votes) + len(found.others) == 3
    assert found.confidence == pytest.approx(sum(vote.score for vote in found.votes))
    for vote in found.votes:
        assert vote.score == pytest.approx(min(vote.hit.inliers, 70) / 70 + vote.cosine)


def test_cosines_are_those_of_the_descriptors(labelled, tmp_path, model):
    photo = noisy(tmp_path / "new.png", 1, 9)
    found = Classifier(labelled).classify(photo)
    for vote in (*found.votes, *found.others):
        both = model.describe([str(photo), vote.hit.path])
        assert vote.cosine == pytest.approx(float(both[0] @ both[1]), abs=1e-3)


def test_photos_without_a_label_do_not_vote(labelled, tmp_path):
    found = Classifier(labelled, rule=VotingRule(neighbours=30)).classify(
        tmp_path / "photos" / "other-20.png"
    )
    assert len(found.votes) + len(found.others) == 12
    assert found.answer.searched == 12


def test_an_empty_text_is_no_label(labelled, tmp_path):
    photo = str(tmp_path / "photos" / "other-20.png")
    labelled.add(photo, metadata={photo: {"label": ""}})
    classifier = Classifier(labelled)
    assert set(classifier.labels) == set(NAMES)
    assert classifier.classify(photo).answer.searched == 12


def test_numbers_are_labels_and_a_word_of_sql_can_name_them(labelled, tmp_path):
    found = Classifier(labelled, label="order").classify(noisy(tmp_path / "new.png", 3, 9))
    assert found.label == "3"


def test_below_the_threshold_a_thing_is_unknown(labelled, tmp_path):
    photo = noisy(tmp_path / "new.png", 0, 9)
    confidence = Classifier(labelled).classify(photo).confidence
    assert Classifier(labelled, threshold=confidence).classify(photo).label == "arch"
    found = Classifier(labelled, threshold=confidence + 1e-6).classify(photo)
    assert (found.label, found.best) == (None, "arch")


def test_without_local_features_cosines_decide(tmp_path):
    collection = Collection.create(tmp_path / "c.resight", model=grid_model(with_local=False))
    photos = {str(noisy(tmp_path / "p" / f"{n}.png", n, 0)): {"label": NAMES[n]} for n in range(4)}
    collection.add(list(photos), metadata=photos)
    found = Classifier(collection).classify(noisy(tmp_path / "new.png", 1, 5))
    assert (found.label, found.verified) == ("bridge", False)
    assert found.votes[0].score == found.votes[0].cosine
    assert found.votes[0].hit.inliers is None


def test_a_refused_photo_does_not_end_verification(labelled, tmp_path, monkeypatch):
    """Only a model without local features does; what is refused for another reason says nothing of it."""
    classifier = Classifier(labelled)
    answer = Collection.answer

    def refuse(*arguments, **options):
        raise InvalidInput("the photo cannot be taken")

    monkeypatch.setattr(Collection, "answer", refuse)
    with pytest.raises(InvalidInput, match="cannot be taken"):
        classifier.classify(tmp_path / "new.png")
    monkeypatch.setattr(Collection, "answer", answer)
    assert classifier.classify(noisy(tmp_path / "new.png", 2, 9)).verified


def test_the_chosen_threshold_is_kept_and_rejects_unknown_things(labelled, tmp_path):
    assert stored_calibration(labelled) is None
    steps = []
    chosen = Classifier(labelled).calibrate(
        validation(tmp_path / "validation"), progress=lambda done, total: steps.append((done, total))
    )
    assert steps == [(number, 10) for number in range(1, 11)]
    assert (chosen.known, chosen.unknown) == (6, 4)
    assert chosen.recall == 1.0
    reopened = Collection.open(labelled.path, model=grid_model())
    assert stored_calibration(reopened) == reopened.info().recognition == chosen
    classifier = Classifier(reopened)
    assert classifier.threshold == chosen.threshold
    assert classifier.classify(noisy(tmp_path / "new.png", 3, 77)).label == "dome"
    assert classifier.classify(write_photo(tmp_path / "never.png", 99)).label is None


def test_a_threshold_is_for_its_own_label_and_rule(labelled, tmp_path):
    rule = VotingRule(neighbours=2, verify=4)
    chosen = Classifier(labelled, rule=rule).calibrate(validation(tmp_path / "validation"))
    assert Classifier(labelled).rule == rule
    assert Classifier(labelled).threshold == chosen.threshold
    assert Classifier(labelled, rule=VotingRule(neighbours=1)).threshold is None
    assert Classifier(labelled, label="order").threshold is None
    assert Classifier(labelled, label="order").rule == VotingRule()
    assert Classifier(labelled, threshold=0.5).threshold == 0.5


def test_what_is_added_afterwards_keeps_the_threshold_and_counts_at_once(labelled, tmp_path):
    chosen = Classifier(labelled).calibrate(validation(tmp_path / "validation"))
    photo = str(noisy(tmp_path / "photos" / "fort.png", 60, 0))
    labelled.add(photo, metadata={photo: {"label": "fort"}})
    assert stored_calibration(labelled) == chosen
    rule = VotingRule(neighbours=1)
    assert Classifier(labelled, rule=rule).classify(noisy(tmp_path / "new.png", 60, 4)).label == "fort"


@pytest.mark.parametrize(
    "damage", [lambda kept: kept.pop("threshold"), lambda kept: kept["rule"].update(neighbours=0)]
)
def test_a_kept_threshold_that_cannot_be_understood_is_said(labelled, tmp_path, damage):
    Classifier(labelled).calibrate(validation(tmp_path / "validation"))
    table = stored(labelled)
    header = json.loads(table.schema.metadata[b"resight.collection"])
    damage(header["recognition"])
    table.update_schema_metadata({"resight.collection": json.dumps(header)})
    with pytest.raises(CollectionDamaged, match="header of the collection"):
        Collection.open(labelled.path)


def test_errors_say_what_to_do(labelled, collection, tmp_path):
    with pytest.raises(InvalidInput, match=r"have no 'year' .*metadata of its photos is label, order"):
        Classifier(labelled, label="year")
    with pytest.raises(InvalidInput, match=r"no 'label' .*its photos have no metadata"):
        Classifier(collection)
    with pytest.raises(InvalidInput, match="finite number, not nan"):
        Classifier(labelled, threshold=float("nan"))
    labelled.remove(list((tmp_path / "photos").glob("*-[0-2].png")))
    with pytest.raises(InvalidInput, match=r"no photo of .* has a 'label'"):
        Classifier(labelled)


def test_labels_that_go_while_a_classifier_is_open_are_missed(labelled, tmp_path):
    classifier = Classifier(labelled)
    labelled.remove(list((tmp_path / "photos").glob("*-[0-2].png")))
    with pytest.raises(InvalidInput, match=r"no photo of .* has a 'label'"):
        classifier.classify(tmp_path / "photos" / "other-20.png")


def test_a_threshold_needs_new_photos_of_both_kinds(labelled, tmp_path):
    classifier = Classifier(labelled)
    with pytest.raises(InvalidInput, match="got 6 of the first and 0 of the second"):
        classifier.calibrate(validation(tmp_path / "validation", unknown=0))
    with pytest.raises(InvalidInput, match="got 0 of the first and 4 of the second"):
        classifier.calibrate(validation(tmp_path / "validation", known=0))
    own = {str(tmp_path / "photos" / "arch-0.png"): "arch", **validation(tmp_path / "validation")}
    with pytest.raises(InvalidInput, match=r"arch-0.png is in the collection itself"):
        classifier.calibrate(own)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no photo")
    with pytest.raises(UnreadableImage):
        classifier.calibrate({str(broken): "arch", **validation(tmp_path / "validation")})
    assert stored_calibration(labelled) is None
