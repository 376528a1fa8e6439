"""OpenStack's inspector, loaded without the rest of its package."""

import subprocess
import sys


def test_the_package_is_whole_for_who_imports_it_afterwards():
    code = (
        "import io, sys\n"
        "from bakery.disk import openstack\n"
        "openstack.findings(io.BytesIO(bytes(4096)), 'raw')\n"
        "assert 'oslo_utils.strutils' not in sys.modules, 'it costs more than the inspector'\n"
        "from oslo_utils import imageutils\n"
        "from oslo_utils.imageutils import format_inspector, QemuImgInfo\n"
        "assert imageutils.QemuImgInfo is QemuImgInfo\n"
        "assert format_inspector.InspectWrapper\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
