"""The few calls of Keystone's API v3 that the test deployment needs."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from tests.services.settings import PASSWORD, REGION

TIMEOUT_SECONDS = 60


class Keystone:
    """The administrator's session, or that of a `user` in a `project`; `url` ends in /v3."""

    def __init__(
        self, url: str, user: str = "admin", project: str = "admin", password: str = PASSWORD
    ) -> None:
        self.url = url
        self.token = self._login(user, project, password)

    def _login(self, name: str, project: str, password: str) -> str:
        user = {"name": name, "domain": {"id": "default"}, "password": password}
        scope = {"project": {"name": project, "domain": {"id": "default"}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        headers, _ = self._send(
            "POST", "/auth/tokens", {"auth": {"identity": identity, "scope": scope}}
        )
        return headers["X-Subject-Token"]

    def service(self, kind: str, name: str, url: str) -> None:
        """Put a service into the catalog, where it stands now."""
        if not self.get(f"/services?type={kind}")["services"]:
            service_id = self.post("/services", "service", {"name": name, "type": kind})
            endpoint = {"service_id": service_id, "interface": "public", "url": url}
            self.post("/endpoints", "endpoint", endpoint | {"region_id": REGION})
        self.point(kind, url)

    def point(self, kind: str, url: str) -> None:
        """Send everybody who asks the catalog for `kind` to this address from now on."""
        (service,) = self.get(f"/services?type={kind}")["services"]
        for endpoint in self.get(f"/endpoints?service_id={service['id']}")["endpoints"]:
            self._send("PATCH", f"/endpoints/{endpoint['id']}", {"endpoint": {"url": url}})

    def project(self, name: str, password: str) -> str:
        """A new project with the user `name` as its member; the administrator may act in it."""
        roles = {role["name"]: role["id"] for role in self.get("/roles")["roles"]}
        (admin,) = self.get("/users?name=admin")["users"]
        project_id = self.post("/projects", "project", {"name": name, "domain_id": "default"})
        account = {"name": name, "password": password, "domain_id": "default"}
        user_id = self.post("/users", "user", account)
        for who, role in ((user_id, "member"), (admin["id"], "admin")):
            self._send("PUT", f"/projects/{project_id}/users/{who}/roles/{roles[role]}")
        return project_id

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        return self._send("GET", path)[1]

    def post(self, path: str, kind: str, content: dict[str, str]) -> str:
        """Create something; its id."""
        return str(self._send("POST", path, {kind: content})[1][kind]["id"])

    def _send(
        self, method: str, path: str, content: object = None
    ) -> tuple[http.client.HTTPMessage, Any]:
        where = urlsplit(self.url)
        headers = {"Content-Type": "application/json"}
        if hasattr(self, "token"):
            headers["X-Auth-Token"] = self.token
        link = http.client.HTTPConnection(where.netloc, timeout=TIMEOUT_SECONDS)
        try:
            body = json.dumps(content) if content is not None else None
            link.request(method, where.path + path, body, headers)
            answer = link.getresponse()
            text = answer.read()
        finally:
            link.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return answer.headers, json.loads(text or b"null")
