"""The order of a scrub: what is looked at, taken, kept, written and looked at again."""

import contextlib
import io
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bakery.build.scrub import work
from bakery.build.scrub.find import Findings, Found
from bakery.build.scrub.unsearched import Unsearched
from bakery.build.scrub.work import SIZE_LIMIT_BYTES, Request
from bakery.build.spec import Recovery
from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Survey
from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.image.engines import guestfs
from bakery.image.engines.base import CannotServe, Removal, Taking
from tests.build.scrub.trees import volume

ROOT, DATA = volume(1, uuid="aaaa"), volume(2)
SURVEY = Survey(1, None, (), (ROOT, DATA))
KEY = Found("keys", "/dev/sda1", "/key", 3, "why", "remove")
SWAP = Found("swap", "/dev/sda1", "/swap", 4, "why", "blank")


LOST = Unsearched("/home", "/dev/md0", "/etc/fstab:1", "is an array")


def findings(*files, unsearched=()):
    return Findings(files, (DATA,), (ROOT,), (Extent(5, 6),), unsearched)


class Image(SimpleNamespace):
    """An image opened, which notes when its sessions end."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.note("closed")


class Scrubbed:
    """A scrub whose parts are noted in their order."""

    def __init__(self, monkeypatch, found, after=(), cannot=(), left=(), unsearched=()):
        self.log, self.events = [], []
        self.left = set(left)
        self.cannot = set(cannot)
        looks = iter([findings(*found, unsearched=unsearched), findings(*after)])
        monkeypatch.setattr(work, "find", lambda *_: self.note("find", next(looks)))
        monkeypatch.setattr(work, "sealing", self.sealing)
        monkeypatch.setattr(guestfs, "why_not", lambda: None)
        image = SimpleNamespace(
            path=Path("image.qcow2"),
            format="qcow2",
            virtual_size_bytes=SIZE_LIMIT_BYTES,
            check_unchanged=lambda: self.note("unchanged"),
        )
        self.opened: Any = Image(
            note=self.note,
            image=image,
            engine="direct",
            survey=SURVEY,
            reader=None,
            inspection=None,
            session=self.session,
            end=lambda name: self.note(f"end {name}"),
        )
        self.draft: Any = SimpleNamespace(
            out=Path("out.qcow2"),
            image=Path("draft"),
            locked=lambda: self.within("locked"),
            intends=lambda path: self.note(f"intends {path}"),
            write=lambda *told: self.note(f"write {told[2]}"),
            install=lambda like: self.note(f"install like {like}"),
        )

    def note(self, word, value=None):
        self.log.append(word)
        return value

    @contextlib.contextmanager
    def within(self, word):
        self.log.append(word)
        try:
            yield self
        finally:
            self.log.append(f"end of {word}")

    def sealing(self, archive, key):
        assert key == Path("key.pub")
        return self.within(f"seal {archive}")

    def session(self, name):
        def scrub(removal, keep):
            self.removal = removal
            self.note(f"{name} scrubs" + (" and keeps" if keep else ""))
            if name in self.cannot:
                raise CannotServe("a journal")
            return self.left

        def restore(stream, volumes):
            self.note(f"{name} restores {stream.read()} into {[v.device for v in volumes]}")

        return SimpleNamespace(scrub=scrub, restore=restore, overlay=f"{name}.overlay")

    def run(self, recovery=None, leave=()):
        made = SimpleNamespace(
            reader=None, inspection=None, moved=lambda path: self.note(f"moved {path}")
        )
        return work.scrub(
            self.opened,
            self.draft,
            Request(rules=(), recovery=recovery, leave_unsearched=leave),
            Report(self.events.append),
            lambda found: self.note(f"show {len(found.files)}"),
            lambda path: self.note(f"open {path}", made),
        )


def test_what_could_not_be_searched_ends_it_before_anything_is_made(monkeypatch):
    ran = Scrubbed(monkeypatch, [KEY], unsearched=[LOST])
    with pytest.raises(BakeryError, match="uses what cannot be searched: /home"):
        ran.run(KEPT)
    assert [line for line in ran.log if "show" in line] == ["show 1"]
    assert not any(word in " ".join(ran.log) for word in ("scrubs", "write", "open", "seal"))
    accepted = Scrubbed(monkeypatch, [KEY], unsearched=[LOST])
    assert accepted.run(leave=("/home",))[0].unsearched == [LOST]
    strange = Scrubbed(monkeypatch, [KEY])
    with pytest.raises(BakeryError, match="--leave-unsearched /home: nothing of that name"):
        strange.run(leave=("/home",))


KEPT = Recovery(Path("kept"), Path("key.pub"))


def test_without_a_place_to_keep_it_what_is_found_is_taken(monkeypatch):
    ran = Scrubbed(monkeypatch, [KEY])
    found, _ = ran.run()
    assert found.files == (KEY,)
    assert ran.log == [
        *("locked", "find", "show 1", "end guestfs", "direct scrubs", "end direct"),
        *("write direct.overlay", "open draft", "find", "unchanged"),
        *("install like image.qcow2", "moved out.qcow2", "closed", "end of locked"),
    ]
    assert ran.removal == Removal(
        (Taking(ROOT, "/key", "remove"),), (ROOT,), (DATA,), (Extent(5, 6),)
    )
    told = [(event.step, event.text) for event in ran.events if event.kind == "finished"]
    assert told[0] == ("find", "1 files and folders")


def test_what_is_kept_is_sealed_before_the_image_has_its_name(monkeypatch):
    ran = Scrubbed(monkeypatch, [KEY])
    ran.run(KEPT)
    assert ran.log == [
        *("locked", "find", "show 1", "intends kept", "seal kept"),
        *("end direct", "guestfs scrubs and keeps", "end guestfs"),
        *("write guestfs.overlay", "open draft", "find", "unchanged", "end of seal kept"),
        *("install like image.qcow2", "moved out.qcow2", "closed", "end of locked"),
    ]


def test_where_nothing_is_kept_an_older_archive_stays(monkeypatch):
    ran = Scrubbed(monkeypatch, [SWAP])
    ran.run(KEPT)
    assert not [word for word in ran.log if "seal" in word or "intends" in word]
    assert "direct scrubs" in ran.log


def test_what_one_engine_cannot_take_another_does_and_it_is_said(monkeypatch):
    ran = Scrubbed(monkeypatch, [KEY], cannot=["direct"])
    ran.run()
    work_log = [word for word in ran.log if "scrubs" in word or word.startswith("end ")]
    assert work_log[:4] == ["end guestfs", "direct scrubs", "end direct", "guestfs scrubs"]
    assert "write guestfs.overlay" in ran.log
    notes = [event.text for event in ran.events if event.kind == "note"]
    assert notes == ["an appliance is needed, which takes a while: a journal"]
    steps = [e.text for e in ran.events if e.step == "remove" and e.kind == "started"]
    assert steps == ["without an appliance", ""]


def test_where_none_can_take_it_the_reasons_are_told(monkeypatch):
    ran = Scrubbed(monkeypatch, [KEY], cannot=["direct", "guestfs"])
    with pytest.raises(BakeryError, match="direct: a journal; guestfs: a journal"):
        ran.run()


def test_what_is_still_there_is_told_unless_it_was_left(monkeypatch):
    ran = Scrubbed(monkeypatch, [KEY], after=[SWAP, KEY])
    with pytest.raises(BakeryError, match="/dev/sda1:/key is still there after it was taken"):
        ran.run()
    assert "unchanged" not in ran.log
    assert not [word for word in ran.log if word.startswith("install")]
    Scrubbed(monkeypatch, [KEY], after=[KEY], left=["/key"]).run()


def test_a_disk_of_eight_tebibytes_is_the_largest(monkeypatch):
    assert SIZE_LIMIT_BYTES == 8 << 40
    ran = Scrubbed(monkeypatch, [KEY])
    ran.opened.image.virtual_size_bytes += 1
    with pytest.raises(BakeryError, match=f"a disk of {(8 << 40) + 1} bytes, which is too big"):
        ran.run()
    assert ran.log == []


def test_an_archive_names_its_filesystems_and_counts_its_files(monkeypatch):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, kind in (("aaaa/etc", tarfile.DIRTYPE), ("aaaa/etc/a", tarfile.REGTYPE),
                           ("bbbb/l", tarfile.SYMTYPE)):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, 5 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"12345"))
    content.seek(0)
    monkeypatch.setattr(work, "open_archive", lambda *_: contextlib.nullcontext(content))
    names, restored = work._contents(Path("a"), Path("k"))
    assert (names, restored.files, restored.size_bytes) == ({"aaaa", "bbbb"}, 2, 5)


def test_what_is_put_back_is_written_while_the_image_stays_as_it_was(monkeypatch):
    ran = Scrubbed(monkeypatch, [])
    tar = contextlib.nullcontext(io.BytesIO(b"tar"))
    work.unpack(ran.opened, ran.draft, tar, {"aaaa"}, Report(ran.events.append))
    assert ran.log == [
        *("locked", "end direct", "guestfs restores b'tar' into ['/dev/sda1']", "end guestfs"),
        *("write guestfs.overlay", "unchanged", "install like image.qcow2"),
        *("closed", "end of locked"),
    ]
    assert [e.step for e in ran.events if e.kind == "finished"] == ["unpack", "write"]


def test_a_filesystem_that_is_not_there_is_told():
    assert work._named(SURVEY, {"aaaa"}) == [ROOT]
    assert work._named(SURVEY, {"aaaa", "dev-sda2"}) == [ROOT, DATA]
    with pytest.raises(BakeryError, match="no filesystem with the UUID bbbb, cccc") as refused:
        work._named(SURVEY, {"aaaa", "cccc", "bbbb"})
    assert "a child of it" in refused.value.hint
