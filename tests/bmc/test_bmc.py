import inspect

import pytest

from bakery.bmc import ipmi, redfish
from bakery.bmc.bmc import Bmc


@pytest.mark.parametrize("other", [ipmi.Bmc, redfish.Bmc])
def test_each_protocol_has_the_same_interface(other):
    """mypy sees to the types where `open_bmc` returns them; this to the names of parameters."""
    calls = [name for name in vars(Bmc) if not name.startswith("_") and name != "name"]
    assert len(calls) == 7
    for name in calls:
        ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (Bmc, other))
        assert ours.parameters == theirs.parameters
    assert isinstance(other.name, property)
