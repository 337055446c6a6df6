"""Groups over the wire: not computed, computed by a job, and what each holds."""

from __future__ import annotations


def test_groups_are_computed_by_a_job(own):
    before = own.get("groups").json()
    assert (before["computed"], before["groups"]) == (False, [])
    assert "resight groups" in before["note"]
    job = own.ended(own.post("groups").json())
    assert (job["kind"], job["state"]) == ("group", "done")
    after = own.get("groups", params={"of": "things"}).json()
    ours = own.service.collection.groups("things")
    ids = {photo["path"]: photo["id"] for photo in own.get("photos").json()["photos"]}
    assert after["computed"]
    assert [group["ids"] for group in after["groups"]] == [
        [ids[each.path] for each in group] for group in ours
    ]
    assert len(after["groups"]) > 1
    # What has been removed is in no group any more.
    gone = after["groups"][0]["ids"][0]
    own.ended(own.post("remove", json={"ids": [gone]}).json())
    held = [
        number
        for group in own.get("groups", params={"of": "things"}).json()["groups"]
        for number in group["ids"]
    ]
    assert gone not in held
    assert own.get("groups", params={"of": "stars"}).status_code == 422
