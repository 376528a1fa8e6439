"""What nodes pull are plain files: a web server that knows nothing of bakery serves them too."""

from pathlib import Path

import pytest

from tests import nginx
from tests.node.agent.served import MIB, SIZE, Served, brought


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """The files alone; its own server is not started."""
    return Served(tmp_path)


def test_nginx_serves_a_packed_image(served, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "base.zst").write_bytes(served.frames)
    (root / "table.zst").write_bytes(served.table_frames)
    disk = tmp_path / "disk"
    disk.write_bytes(b"\xff" * (SIZE + 4 * MIB))
    with nginx.serving(root, tmp_path / "nginx") as url:
        content = brought(disk, served.write_list(url=url))
        answers = (tmp_path / "nginx/access.log").read_text().splitlines()
    assert content[MIB : MIB + SIZE] == served.base.read_bytes()
    assert len(answers) > 1
    assert all(answer.startswith("206 ") for answer in answers)
