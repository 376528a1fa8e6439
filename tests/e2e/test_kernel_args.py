"""Kernel arguments: of the build, and inside a whole disk, where its own loader reads them."""

from pathlib import Path

import pytest

from bakery.manifest import manifest
from tests.conftest import Bakery, Sample
from tests.e2e.conftest import Facts

pytestmark = pytest.mark.slow


def test_ironic_conf_has_the_blueprints_line(
    bakery: Bakery, sample: Sample, facts: Facts, tmp_path: Path
):
    assert bakery("build", sample("default"), "-o", tmp_path / "out").returncode == 0
    told = bakery("params", tmp_path / "out", "--for", "ironic-conf")
    assert told.returncode == 0, told.stderr
    (deployment,) = facts("default").deployments
    ostree = next(arg for arg in deployment.kernel_args if arg.startswith("ostree="))
    assert ostree.split("/")[3:5] == ["fedora-atomic", deployment.bootcsum]
    line = (
        "nofb nomodeset vga=normal console=ttyS0 no_timer_check "
        f"root=/dev/mapper/atomicos-root {ostree}"
    )
    values = [x.partition(" = ")[2] for x in told.stdout.splitlines() if "append_params" in x]
    assert values == [line]


# The boots of build/scrub/test_scrubbed.py have such arguments too, of both.
@pytest.mark.full
@pytest.mark.parametrize("variant", ["default", "plain"])
def test_a_whole_disk_boots_with_the_arguments_that_were_added(
    bakery: Bakery, sample: Sample, tmp_path: Path, variant: str
):
    words = ["--layout", "disk", "--karg-append", "bakery.test=yes"]
    if variant == "default":
        words += ["--karg-delete", "nofb"]
    done = bakery("build", sample(variant), "-o", tmp_path / "out", *words, timeout=900)
    assert done.returncode == 0, done.stderr
    made = manifest.load(tmp_path / "out").manifest
    assert made.engine == "guestfs"
    assert made.mounted
    assert made.files_changed
    assert "bakery.test=yes" in made.kernel_args
    booted = bakery("prove", tmp_path / "out", "--run", "cat /proc/cmdline", timeout=1500)
    assert booted.returncode == 0, booted.stdout + booted.stderr
    assert "bakery.test=yes" in booted.stdout
    assert variant != "default" or " nofb " not in booted.stdout


def test_both_engines_make_the_same_kernel_ramdisk_arguments_and_fstab(
    bakery: Bakery, sample: Sample, tmp_path: Path
):
    image, made = sample("default"), {}
    for engine in ("direct", "guestfs"):
        output = tmp_path / engine
        done = bakery("build", image, "-o", output, "--engine", engine, timeout=900)
        assert done.returncode == 0, done.stderr
        made[engine] = manifest.load(output)
    direct, guestfs = (made[engine].manifest for engine in ("direct", "guestfs"))
    assert direct.kernel_args == guestfs.kernel_args
    assert direct.deployment == guestfs.deployment
    for name in ("kernel", "ramdisk"):
        assert direct.artifacts[name].digest == guestfs.artifacts[name].digest
    assert direct.files_changed == guestfs.files_changed
    assert (direct.mounted, guestfs.mounted) == (False, True)
