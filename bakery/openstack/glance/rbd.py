"""A base written straight into Ceph, so that no zero travels and Glance only learns where it is.

Glance's own RBD store keeps an image as `POOL/IMAGE-ID` with a protected snapshot named `snap`,
and its location is `rbd://FSID/POOL/IMAGE-ID/snap` (glance_store, rbd driver). This makes the same:

    qemu-img create  -f raw -o cluster_size=8M rbd:POOL/ID SIZE
    qemu-img convert -n --target-is-zero -p -t writeback -W -m 8 -f raw -O raw BASE rbd:POOL/ID
    rbd snap create  POOL/ID@snap
    rbd snap protect POOL/ID@snap

The snapshot is made last: an rbd image without it was left half written and is replaced, one with
it is whole and is used as it is. Registering the location needs a Glance that lets this user do
so; where that is every user (`show_multiple_locations`), OSSN-0065 tells what they can do with it.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from bakery.disk.copy.copy import Progress, scaled
from bakery.host.errors import BakeryError, MissingTool, UsageError
from bakery.host.run import Arg, CommandFailed, Completed, ending, run, tail

SNAPSHOT = "snap"
OBJECT_BYTES = 8 << 20
COROUTINES = 8
CONVERT_TIMEOUT_SECONDS = 6 * 3600.0
COMMAND_TIMEOUT_SECONDS = 300.0
NO_SUCH_IMAGE = 2  # rbd(8) ends with the error number: ENOENT
CEPH_VARIABLES = ("CEPH_CONF", "CEPH_KEYRING", "CEPH_ARGS")

# In `rbd:POOL/ID` the characters : @ = / and \ have meanings of their own (qemu, block/rbd.c):
# nothing that is put there may hold one.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_FILE = re.compile(r"/[A-Za-z0-9._/-]{1,1023}", re.ASCII)


@dataclass(frozen=True)
class RbdStore:
    """A pool of a Ceph cluster; `user` and `conf` are Ceph's defaults where they are empty."""

    pool: str
    user: str = ""
    conf: str = ""

    def __post_init__(self) -> None:
        """Refuse what would mean something else on a command line. Raises UsageError."""
        for word, value, form in (
            ("pool", self.pool, _NAME),
            ("id", self.user, _NAME),
            ("conf", self.conf, _FILE),
        ):
            if not form.fullmatch(value) and (value or word == "pool"):
                raise UsageError(
                    f"{value[:100]!r} cannot be the {word} of an rbd store",
                    "letters, digits and . _ - (conf: an absolute path of these) are allowed",
                )

    def put(self, base: Path, image_id: str, progress: Progress | None = None) -> str:
        """Write the raw file `base` as the data of an image; the location to register.

        What a killed run left half written is replaced; what is there whole is not sent again.
        `progress` is called with bytes of the base passed over and in all. Raises BakeryError.
        """
        name, fsid = self._name(image_id), self._fsid()
        size = base.stat().st_size
        snapshot = self._snapshot(name)
        if snapshot is None:
            self._write(base, name, size, progress)
            self._client("rbd", "snap", "create", f"{name}@{SNAPSHOT}")
        elif snapshot.size_bytes != size:
            raise BakeryError(
                f"rbd image {name} holds {snapshot.size_bytes} bytes and the base has {size}",
                f"bakery did not make it: look at it with rbd info {name}",
            )
        if snapshot is None or not snapshot.protected:
            self._client("rbd", "snap", "protect", f"{name}@{SNAPSHOT}")
        return f"rbd://{fsid}/{name}/{SNAPSHOT}"

    def remove(self, image_id: str) -> None:
        """Take away what `put` wrote, where Glance did not take its location; if it is there."""
        name = self._name(image_id)
        found = self._snapshot(name)
        if found and found.protected:
            self._client("rbd", "snap", "unprotect", f"{name}@{SNAPSHOT}")
        if found:
            self._client("rbd", "snap", "rm", f"{name}@{SNAPSHOT}")
        self._remove(name)

    def _write(self, base: Path, name: str, size: int, progress: Progress | None) -> None:
        self._remove(name)
        target = f"rbd:{name}" + "".join(f":{key}={value}" for key, value in self._options())
        options = f"cluster_size={OBJECT_BYTES}"
        self._qemu_img("create", "-q", "-f", "raw", "-o", options, target, str(size))
        # An absolute path: qemu takes what stands before a colon for the name of a protocol.
        words: list[Arg] = ["-n", "--target-is-zero", "-p", "-t", "writeback", "-W"]
        words += ["-m", str(COROUTINES), "-f", "raw", "-O", "raw", base.absolute(), target]
        self._qemu_img("convert", *words, on_stdout=scaled(progress, 0, size, size))

    def _remove(self, name: str) -> None:
        """Remove the rbd image, which has no snapshot, if it is there."""
        done = self._client("rbd", "rm", "--no-progress", name, check=False)
        if done.returncode not in (0, NO_SUCH_IMAGE):
            raise BakeryError(
                f"rbd image {name} was left half written and cannot be removed: "
                + _last_words(done),
                "another publisher may be writing it; else remove it with rbd rm and run again",
            )

    def _snapshot(self, name: str) -> "_Snapshot | None":
        done = self._client("rbd", "snap", "ls", "--format", "json", name, check=False)
        if done.returncode == NO_SUCH_IMAGE:
            return None
        if done.returncode:
            raise BakeryError(
                f"rbd cannot tell about {name}: {_last_words(done)}",
                f"see that rbd ls {self.pool} works here, with the user and the conf of --store",
            )
        try:
            for found in json.loads(done.stdout):
                if found["name"] == SNAPSHOT:
                    # rbd writes "true" and "false" as strings in its JSON.
                    return _Snapshot(int(found["size"]), found["protected"] in (True, "true"))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise BakeryError(f"rbd described {name} in a way bakery does not know") from error
        return None

    def _fsid(self) -> str:
        """The cluster's id (ceph(8), `ceph fsid`)."""
        text = self._client("ceph", "fsid").text.strip()
        try:
            return str(UUID(text))
        except ValueError:
            raise BakeryError(
                f"ceph fsid told {text[:100]!r}, which is not a cluster's id"
            ) from None

    def _name(self, image_id: str) -> str:
        try:
            return f"{self.pool}/{UUID(image_id)}"
        except ValueError:
            raise BakeryError(f"{image_id[:100]!r} is not an image's id") from None

    def _options(self) -> list[tuple[str, str]]:
        return [(key, value) for key, value in (("id", self.user), ("conf", self.conf)) if value]

    def _client(self, program: str, *words: str, check: bool = True) -> Completed:
        options = [word for key, value in self._options() for word in (f"--{key}", value)]
        return _run([program, *options, *words], check=check)

    def _qemu_img(self, *words: Arg, on_stdout: Callable[[bytes], None] | None = None) -> None:
        try:
            _run(["qemu-img", *words], timeout=CONVERT_TIMEOUT_SECONDS, on_stdout=on_stdout)
        except CommandFailed as error:
            if "Unknown protocol 'rbd'" in error.tail:
                raise BakeryError(
                    "this machine's qemu-img cannot write to Ceph: it has no rbd driver",
                    "sudo apt-get install qemu-block-extra (Fedora: qemu-block-rbd)",
                ) from error
            raise


@dataclass(frozen=True)
class _Snapshot:
    size_bytes: int
    protected: bool


def parse(text: str) -> RbdStore:
    """The store that `--store rbd:POOL[:id=USER][:conf=FILE]` names (qemu's own spelling).

    Raises UsageError.
    """
    kind, _, rest = text.partition(":")
    pool, *options = rest.split(":")
    given = dict(option.partition("=")[::2] for option in options)
    known = len(given) == len(options) and set(given) <= {"id", "conf"} and all(given.values())
    if kind != "rbd" or not known:
        raise UsageError(
            f"{text[:200]!r} is not a store", "use rbd:POOL or rbd:POOL:id=USER:conf=FILE"
        )
    return RbdStore(pool, given.get("id", ""), given.get("conf", ""))


def _run(
    argv: list[Arg],
    *,
    check: bool = True,
    timeout: float = COMMAND_TIMEOUT_SECONDS,
    on_stdout: Callable[[bytes], None] | None = None,
) -> Completed:
    env = {name: os.environ[name] for name in CEPH_VARIABLES if name in os.environ}
    try:
        return run(argv, env=env, check=check, timeout=timeout, on_stdout=on_stdout)
    except MissingTool as error:
        if error.program in ("rbd", "ceph"):
            raise MissingTool(error.program, "sudo apt-get install ceph-common") from None
        raise


def _last_words(done: Completed) -> str:
    return tail(done.stderr or done.stdout, 3) or ending(done.returncode)
