"""What is known of the samples, for the tests that hold builds against it."""

from collections.abc import Callable

import msgspec
import pytest

from bakery.samples.facts import SampleInfo
from tests.conftest import Bakery, Sample

Facts = Callable[[str], SampleInfo]


@pytest.fixture(scope="session")
def facts(bakery: Bakery, sample: Sample) -> Facts:
    """What a sample is because it was made so: `facts("default")`."""

    def get(variant: str) -> SampleInfo:
        image = sample(variant)
        done = bakery("lab", "image", image, "--variant", variant, "--json")
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout, type=SampleInfo)

    return get
