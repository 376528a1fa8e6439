import pytest

from bakery.bmc import redfish_media, redfish_wire


@pytest.fixture
def hasty(monkeypatch):
    """A BMC that speaks Redfish is asked again at once, as it stands on this machine."""
    monkeypatch.setattr(redfish_wire, "ASK_AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(redfish_media, "BETWEEN_SECONDS", 0.02)
