"""The proxy passes everything on, counts image bytes alone, and fails only where it is told to."""

import http.client
import json
import os
from collections.abc import Iterator

import pytest

from tests.services.api import Glance
from tests.services.openstack import Project, Services
from tests.services.proxy import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

DATA = os.urandom(3 << 20)


@pytest.fixture
def proxy(services: Services) -> Iterator[Proxy]:
    with Proxy(services.image_url) as proxy:
        yield proxy


@pytest.fixture
def glance(cloud: Project, proxy: Proxy) -> Glance:
    return Glance(cloud, proxy.url)


def test_image_bytes_are_counted_both_ways_and_nothing_else_is(proxy, glance):
    image = glance.new()
    assert (proxy.sent_bytes, proxy.received_bytes) == (0, 0)
    assert glance.send(image, DATA) == http.HTTPStatus.NO_CONTENT
    assert (proxy.sent_bytes, proxy.received_bytes) == (len(DATA), 0)
    assert glance.fetch(image) == DATA
    assert (proxy.sent_bytes, proxy.received_bytes) == (len(DATA), len(DATA))
    assert proxy.requests[-1] == f"GET /v2/images/{image}/file"


def test_the_catalog_leads_the_real_client_through_it_and_back(cloud, services, proxy):
    with proxy.in_front_of(services):
        cloud.client("image", "list")
    seen = len(proxy.requests)
    assert any(request == "GET /v2/images" for request in proxy.requests)
    cloud.client("image", "list")
    assert len(proxy.requests) == seen


def test_as_many_requests_fail_as_it_was_told(proxy, glance):
    image = glance.new()
    proxy.fail(503, "PUT", "/file", times=2)
    answers = [glance.send(image, DATA) for _ in range(3)]
    assert answers == [503, 503, 204]
    assert proxy.sent_bytes == len(DATA)


def test_an_upload_is_cut_after_the_bytes_it_was_told(proxy, glance):
    image = glance.new()
    proxy.cut_sending(1 << 20)
    with pytest.raises((OSError, http.client.HTTPException)):
        glance.send(image, DATA)
    assert proxy.sent_bytes == 1 << 20
    glance.send_when_free(image, DATA)
    assert glance.fetch(image) == DATA


def test_a_download_is_cut_after_the_bytes_it_was_told(proxy, glance):
    image = glance.new()
    glance.send(image, DATA)
    proxy.cut_receiving(1 << 20)
    with pytest.raises((OSError, http.client.HTTPException)):
        glance.fetch(image)
    assert proxy.received_bytes == 1 << 20
    assert glance.fetch(image) == DATA


def test_a_service_that_is_gone_is_a_lost_connection(tmp_path):
    with Services(tmp_path / "os") as services, Proxy(services.image_url) as proxy:
        glance = Glance(services.fresh_project(), proxy.url)
        services.glance.kill()
        with pytest.raises((OSError, http.client.HTTPException, json.JSONDecodeError)):
            glance.show("any")
