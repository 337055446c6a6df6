"""Making, opening, changing and looking at a collection."""

from __future__ import annotations

import json
import os
import shutil

import lance
import numpy as np
import pyarrow as pa
import pytest
from grid_model import GridDescriber, grid_model
from made_photos import bytes_of, stored, write_photo

from resight.collection import Collection
from resight.collection.header import HEADER_KEY
from resight.errors import CollectionDamaged, CollectionNotFound, InvalidInput, ModelMismatch, UnknownModel
from resight.models import Model


def test_first_index_describes_everything(tmp_path, photos, model):
    collection = Collection.create(tmp_path / "c", model=model)
    seen = []
    report = collection.add(photos, progress=lambda *step: seen.append(step))
    assert (report.added, report.updated, report.unchanged, report.missing, report.broken) == (
        12,
        0,
        0,
        [],
        [],
    )
    assert len(collection) == 12
    assert seen == [(done, 12) for done in range(1, 13)]
    assert Collection.open(tmp_path / "c", model=model).check().problems == []


def test_second_index_describes_nothing(collection, photos):
    object.__setattr__(collection.model, "extract", None)
    report = collection.add(photos)
    assert (report.added, report.updated, report.unchanged) == (0, 0, 12)


def test_changed_photo_is_described_again_and_keeps_its_row(collection, photos):
    path = photos / "a" / "p03.png"
    before = collection.search(path, top=1)[0]
    write_photo(path, 77)
    report = collection.add(photos)
    assert (report.added, report.updated, report.unchanged) == (0, 1, 11)
    after = collection.search(path, top=1)[0]
    assert before.path == after.path == str(path)
    assert after.score == pytest.approx(1.0, abs=1e-3)
    assert len(collection) == 12


def test_touched_photo_is_not_described_again(collection, photos, model):
    path = photos / "a" / "p03.png"
    os.utime(path, ns=(1, 1))
    object.__setattr__(model, "extract", None)
    assert collection.add(photos).unchanged == 12
    (row,) = stored(collection).to_table(filter="path = 'a/p03.png'", columns=["modified_ns"]).to_pylist()
    assert row["modified_ns"] == 1


def test_renamed_photo_takes_over_its_description(collection, photos, model):
    (photos / "a" / "p03.png").rename(photos / "b" / "new name.png")
    object.__setattr__(model, "extract", None)
    report = collection.add(photos)
    assert (report.added, report.unchanged) == (1, 11)
    assert report.renamed == {str(photos / "b" / "new name.png"): str(photos / "a" / "p03.png")}
    assert (report.missing, len(collection)) == ([], 12)


def test_names_that_change_places_are_right_even_though_the_source_row_changes_first(
    collection, photos, model
):
    # a/p00 gets new bytes and its old ones turn up as b/p99: the row to copy from is written anew first.
    source, target = photos / "a" / "p00.png", photos / "b" / "p99.png"
    source.rename(target)
    write_photo(source, 500)
    report = collection.add(photos)
    assert (report.added, report.updated, report.unchanged) == (1, 1, 11)
    for path in (source, target):
        assert collection.search(path, top=1)[0].path == str(path)
    assert collection.check(sample=100).problems == []


def test_copies_across_commits(collection, photos, model, monkeypatch):
    monkeypatch.setattr("resight.collection.batching.COMMIT_PHOTOS", 1)
    test_names_that_change_places_are_right_even_though_the_source_row_changes_first(
        collection, photos, model
    )


def test_missing_photos_are_reported_and_forgotten_only_when_asked(collection, photos):
    (photos / "b" / "p09.png").unlink()
    assert collection.add(photos / "a").missing == []
    for _ in range(2):
        assert collection.add(photos).missing == [str(photos / "b" / "p09.png")]
    assert len(collection) == 12
    assert collection.add(photos, forget_missing=True).missing == [str(photos / "b" / "p09.png")]
    assert len(collection) == 11
    assert collection.add(photos).missing == []


def test_a_folder_that_is_gone_is_never_forgotten(collection, photos):
    shutil.rmtree(photos / "b")
    assert len(collection.add([photos / "a", photos / "b"], forget_missing=True).missing) == 5
    assert len(collection) == 12


def test_unknown_path_is_refused(collection, tmp_path):
    with pytest.raises(InvalidInput, match="there is no file or folder"):
        collection.add(tmp_path / "nowhere")


def test_broken_photo_is_tried_again_only_when_it_changed(collection, photos):
    bad = photos / "a" / "bad.png"
    bad.write_bytes(b"no picture")
    assert [file.path for file in collection.add(photos).broken] == [str(bad)]
    reason = collection.add(photos).broken[0].reason
    assert [(file.path, file.reason) for file in collection.info().broken] == [(str(bad), reason)]
    assert len(collection) == 12
    write_photo(bad, 200)
    report = collection.add(photos)
    assert (report.broken, report.updated) == ([], 1)
    assert collection.search(bad, top=1)[0].path == str(bad)


def test_photo_that_breaks_leaves_the_search(collection, photos):
    path = photos / "a" / "p00.png"
    query = path.with_name("query.png")
    shutil.copy(path, query)
    collection.search(query)
    path.write_bytes(b"gone")
    collection.add(path)
    assert str(path) not in {hit.path for hit in collection.search(query, top=50)}


def test_a_photo_the_model_cannot_describe_is_broken(collection, photos, model):
    class Blind(GridDescriber):
        def extract(self, shown):
            (features,) = super().extract(shown)
            features.descriptor[:] = np.nan
            return [features]

    write_photo(photos / "new.png", 300)
    object.__setattr__(collection, "_model", Model(Blind(), name="blind"))
    assert "finite" in collection.add(photos).broken[0].reason


def test_remove_takes_photos_out_and_their_bytes_off_the_disk(collection, photos, tmp_path):
    path = photos / "a" / "p03.png"
    rows = stored(collection).to_table(filter="path = 'a/p03.png'", columns=["local"])
    # The file format stores short runs of bytes of a row as they are.
    needle = rows["local"][0].as_py()[-1024:-960]
    assert needle in bytes_of(collection)
    collection.search(path)
    assert collection.remove(path) == 1
    assert path.exists()
    assert len(collection) == 11
    assert str(path) not in {hit.path for hit in collection.search(path, top=50)}
    assert needle not in bytes_of(collection)
    assert b"a/p03.png" not in bytes_of(collection)
    assert collection.remove([photos / "b", photos / "a" / "p04.png"]) == 6
    assert len(collection) == 5
    assert collection.remove(photos) == 5
    assert collection.search(path) == []


def test_interrupted_removal_is_finished_by_the_next_writer(collection, photos, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("resight.collection.store.Store.finish_forgetting", lambda self: None)
        collection.remove(photos / "a" / "p03.png")
    assert b"a/p03.png" in bytes_of(collection)
    collection.add(photos / "b")
    assert b"a/p03.png" not in bytes_of(collection)


def test_removing_the_unknown_removes_nothing(collection, photos, tmp_path):
    with pytest.raises(InvalidInput, match="nothing was removed"):
        collection.remove([photos / "a", tmp_path / "other.png"])
    assert len(collection) == 12


def test_photos_and_collection_can_move_together(tmp_path, model):
    write_photo(tmp_path / "one" / "photos" / "p.png", 1)
    Collection.create(tmp_path / "one" / "c", model=model).add(tmp_path / "one" / "photos")
    (tmp_path / "one").rename(tmp_path / "two")
    collection = Collection.open(tmp_path / "two" / "c", model=model)
    assert collection.search(tmp_path / "two" / "photos" / "p.png")[0].path == str(
        tmp_path / "two" / "photos" / "p.png"
    )
    assert collection.add(tmp_path / "two" / "photos").unchanged == 1


def test_move_root_follows_photos(tmp_path, model):
    photos, new = tmp_path / "far" / "photos", tmp_path / "elsewhere" / "pictures"
    write_photo(photos / "p.png", 1)
    collection = Collection.create(tmp_path / "here" / "c", model=model)
    collection.add(photos)
    assert collection.info().roots[0].stored == str(photos)
    new.parent.mkdir()
    photos.rename(new)
    with pytest.raises(InvalidInput, match="no folder of this collection"):
        collection.move_root(tmp_path / "wrong", new)
    with pytest.raises(InvalidInput, match="there is no folder"):
        collection.move_root(photos, tmp_path / "nothing")
    collection.move_root(photos, new)
    assert [hit.path for hit in collection.search(new / "p.png")] == [str(new / "p.png")]
    assert collection.add(new).unchanged == 1


def test_move_root_follows_a_folder_above_several_and_refuses_overlap(tmp_path, model):
    for name in ("far/x", "far/y", "near"):
        write_photo(tmp_path / name / "p.png", len(name))
    collection = Collection.create(tmp_path / "c", model=model)
    collection.add([tmp_path / "far" / "x", tmp_path / "far" / "y", tmp_path / "near"])
    with pytest.raises(InvalidInput, match="would overlap"):
        collection.move_root(tmp_path / "far" / "x", tmp_path / "near")
    (tmp_path / "far").rename(tmp_path / "moved")
    collection.move_root(tmp_path / "far", tmp_path / "moved")
    assert sorted(root.path for root in collection.info().roots) == [
        str(tmp_path / "moved" / "x"),
        str(tmp_path / "moved" / "y"),
        str(tmp_path / "near"),
    ]


def test_nested_folders_do_not_double_photos(tmp_path, model):
    write_photo(tmp_path / "all" / "part" / "p.png", 1)
    write_photo(tmp_path / "all" / "q.png", 2)
    collection = Collection.create(tmp_path / "c", model=model)
    for folder, added in (("all/part", 1), ("all", 1), ("all/part", 0)):
        assert collection.add(tmp_path / folder).added == added
    assert len(collection) == 2


def test_another_model_of_the_same_size_is_refused(collection, tmp_path):
    other = grid_model(name="other", fingerprint="fedcba9876543210")
    with pytest.raises(ModelMismatch) as caught:
        Collection.open(tmp_path / "made.resight", model=other)
    text = str(caught.value)
    assert "'grid'" in text
    assert "'other'" in text
    assert "new collection" in text


def test_model_is_loaded_by_the_name_in_the_header_when_first_needed(
    collection, photos, tmp_path, monkeypatch
):
    loaded = []

    def load(name, fingerprint):
        loaded.append(name)
        return grid_model(fingerprint="f" * 16)

    monkeypatch.setattr("resight.models.load_recorded", load, raising=False)
    again = Collection.open(tmp_path / "made.resight")
    assert len(again) == 12
    assert loaded == []
    with pytest.raises(ModelMismatch):
        again.search(photos / "a" / "p00.png")
    assert loaded == ["grid"]


def test_opening_nothing_and_foreign_things_is_refused(tmp_path, photos, model):
    with pytest.raises(CollectionNotFound, match="no such folder"):
        Collection.open(tmp_path / "none")
    with pytest.raises(CollectionNotFound, match="other things"):
        Collection.open(photos)
    with pytest.raises(CollectionNotFound, match="it is a file"):
        Collection.open(photos / "a" / "p00.png")
    with pytest.raises(InvalidInput, match="other things"):
        Collection.create(photos, model=model)
    lance.write_dataset(pa.table({"x": [1]}), tmp_path / "foreign" / "photos.lance")
    with pytest.raises(CollectionNotFound, match="no Resight collection"):
        Collection.open(tmp_path / "foreign")


def test_creating_twice_is_refused(collection, tmp_path, model):
    with pytest.raises(InvalidInput, match="already"):
        Collection.create(tmp_path / "made.resight", model=model)
    assert len(collection) == 12


def test_creation_killed_before_its_first_commit_is_done_again(tmp_path, model):
    (tmp_path / "c" / "photos.lance" / "_versions").mkdir(parents=True)
    with pytest.raises(CollectionNotFound):
        Collection.open(tmp_path / "c", model=model)
    assert len(Collection.create(tmp_path / "c", model=model)) == 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": 99}, "newer Resight"),
        ({"roots": None}, "cannot be understood"),
        (None, "cannot be understood"),
    ],
)
def test_headers_of_another_version_or_broken_are_refused(collection, tmp_path, change, text):
    table = lance.dataset(tmp_path / "made.resight" / "photos.lance")
    values = json.loads(table.schema.metadata[HEADER_KEY.encode()])
    table.update_schema_metadata({HEADER_KEY: "{" if change is None else json.dumps(values | change)})
    with pytest.raises(CollectionDamaged, match=text):
        Collection.open(tmp_path / "made.resight")


def test_a_damaged_table_is_said_to_be_damaged(collection, tmp_path, model):
    for file in (tmp_path / "made.resight" / "photos.lance" / "data").iterdir():
        file.write_bytes(b"nothing")
    again = Collection.open(tmp_path / "made.resight", model=model)
    with pytest.raises(CollectionDamaged, match="cannot be read"):
        again.info()
    assert again.check().problems != []


def test_info_says_what_there_is(collection, photos, tmp_path):
    info = collection.info()
    assert (info.photos, info.broken, info.model, info.dim, info.metadata) == (12, [], "grid", 192, [])
    assert [(root.path, root.stored, root.photos, root.exists) for root in info.roots] == [
        (str(photos), "../photos", 12, True)
    ]
    on_disk = sum(file.stat().st_size for file in (tmp_path / "made.resight").rglob("*") if file.is_file())
    assert info.bytes_on_disk == on_disk
    assert info.bytes_per_photo == on_disk / 12


def damage(collection, change):
    """Writes the rows back after a function has changed descriptors and local features."""
    table = stored(collection)
    rows = table.to_table()
    descriptors = rows["descriptor"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1).copy()
    local = rows["local"].to_pylist()
    change(descriptors, local)
    columns = [rows[name] for name in rows.schema.names]
    columns[rows.schema.names.index("local")] = pa.array(local, pa.large_binary())
    columns[rows.schema.names.index("descriptor")] = pa.FixedSizeListArray.from_arrays(
        pa.array(descriptors.ravel()), descriptors.shape[1]
    )
    merge = table.merge_insert(["root", "path"]).when_matched_update_all()
    merge.execute(pa.Table.from_arrays(columns, schema=rows.schema))


def test_check_finds_what_is_wrong(collection, photos):
    def change(descriptors, local):
        descriptors[0] *= np.float16(0.5)
        descriptors[2] = -descriptors[2]
        local[3] = local[3][:100]

    damage(collection, change)
    (photos / "a" / "p05.png").unlink()
    write_photo(photos / "a" / "p06.png", 99)
    assert collection.info().local.features_per_photo == 64
    report = collection.check(sample=100)
    problems = "\n".join(report.problems)
    assert (report.rows, report.sampled) == (12, 10)
    assert len(report.problems) == 3
    assert "has length 0.5" in problems
    assert "p02.png does not find itself" in problems
    assert "local features of" in problems
    assert len(report.notes) == 2
    assert any("p05.png is missing" in note for note in report.notes)
    assert any("p06.png has changed" in note for note in report.notes)


def test_numbers_that_are_not_finite_are_found(collection, photos):
    def change(descriptors, local):
        descriptors[1, 0] = np.nan

    damage(collection, change)
    problems = "\n".join(collection.check().problems)
    assert "holds numbers that are not finite" in problems
    with pytest.raises(CollectionDamaged, match="resight check"):
        collection.search(photos / "a" / "p00.png")


def test_check_finds_doubled_keys(collection, tmp_path, model):
    path = tmp_path / "made.resight" / "photos.lance"
    lance.write_dataset(lance.dataset(path).to_table(limit=1), path, mode="append")
    problems = Collection.open(tmp_path / "made.resight", model=model).check().problems
    assert any("has 2 rows" in problem for problem in problems)


def test_check_says_that_the_model_is_another(collection, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "resight.models.load_recorded",
        lambda name, fingerprint: grid_model(fingerprint="f" * 16),
        raising=False,
    )
    (problem,) = Collection.open(tmp_path / "made.resight").check().problems
    assert "was made with the model 'grid'" in problem


def test_fragments_and_versions_stay_few(tmp_path, model, monkeypatch):
    monkeypatch.setattr("resight.collection.batching.COMMIT_PHOTOS", 2)
    for number in range(100):
        write_photo(tmp_path / "photos" / f"{number}.png", number, width=16, height=16)
    collection = Collection.create(tmp_path / "c", model=model)
    collection.add(tmp_path / "photos")
    table = lance.dataset(tmp_path / "c" / "photos.lance")
    assert len(table.get_fragments()) <= 33
    for number in range(20):
        write_photo(tmp_path / "photos" / f"new {number}.png", 200 + number, width=16, height=16)
        collection.add(tmp_path / "photos")
    table = lance.dataset(tmp_path / "c" / "photos.lance")
    assert len(table.get_fragments()) <= 17
    assert len(table.versions()) <= 2
    assert len(collection) == 120


def test_a_model_named_elsewhere_is_loaded_only_where_that_is_allowed(photos, tmp_path, monkeypatch):
    name = "timm:hf-hub:somebody/model"
    Collection.create(tmp_path / "c", model=grid_model(name))
    loaded = []

    def load(name):
        loaded.append(name)
        return grid_model(name)

    monkeypatch.setattr("resight.models.load_model", load, raising=False)
    with pytest.raises(UnknownModel, match="lies elsewhere, and is loaded only where that is allowed"):
        Collection.open(tmp_path / "c").search(photos / "a" / "p00.png")
    assert loaded == []
    assert Collection.open(tmp_path / "c", allow_download=True).model.name == name
    assert Collection.open(tmp_path / "c", model=name).model.name == name
    assert loaded == [name, name]
