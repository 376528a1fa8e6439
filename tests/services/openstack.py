"""A Keystone, a Glance and an Ironic of one's own, that end with the process that started them.

    with Services(folder) as services:
        project = services.fresh_project()
        project.client("image", "list")

They keep their state, their logs and the images in `folder`. Ironic is there where a place for it
is given.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from bakery.host import run
from tests.services import seed, settings, venvs
from tests.services.api import Glance
from tests.services.identity import Keystone
from tests.services.ironic import Ironic, Place
from tests.services.settings import Choices
from tests.services.wsgi import Wsgi

CLIENT_TIMEOUT_SECONDS = 300
MEMBER, ADMIN, SYSTEM = "member", "admin", "system"
PASTE = "glance-api-paste.ini"

# A file system of the given size, seen by Glance alone and gone with it. The user namespace makes
# root unnecessary; entering it takes the parent-death signal away, so that it is set again.
SMALL_DISK = (
    'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec setpriv --pdeathsig KILL -- "$@"'
)


class Project:
    """A project with a member of its own, and a clouds.yaml: `member`, `admin` and `system`.

    The first two act in this project; only the administrator may publish to everyone, and only
    with the system's scope is all of Ironic there, such as its list of drivers.
    """

    def __init__(
        self,
        name: str,
        project_id: str,
        auth_url: str,
        image_url: str,
        folder: Path,
        password: str,
    ) -> None:
        self.name, self.password = name, password
        self.id = project_id
        self.auth_url = auth_url
        self.image_url = image_url
        folder.mkdir(parents=True, exist_ok=True)
        self.clouds_yaml = folder / "clouds.yaml"
        project_scope = f"project_name: {name}\n      project_domain_id: default"
        scopes = (
            (MEMBER, name, password, project_scope),
            (ADMIN, "admin", settings.PASSWORD, project_scope),
            (SYSTEM, "admin", settings.PASSWORD, "system_scope: all"),
        )
        clouds = "".join(_cloud(cloud, auth_url, *words) for cloud, *words in scopes)
        self.clouds_yaml.write_text("clouds:\n" + clouds)

    def env(self, cloud: str = MEMBER) -> dict[str, str]:
        """What leads openstacksdk to this project."""
        return {"OS_CLIENT_CONFIG_FILE": str(self.clouds_yaml), "OS_CLOUD": cloud}

    def client(self, *argv: str | Path, cloud: str = MEMBER, check: bool = True) -> run.Completed:
        """Run the real `openstack` client; raises run.CommandFailed, with `check`."""
        program = venvs.venv("client") / "bin/openstack"
        return run.run(
            [program, *argv], env=self.env(cloud), timeout=CLIENT_TIMEOUT_SECONDS, check=check
        )

    def token(self) -> str:
        """A token of the member, for who speaks to Glance by hand."""
        return Keystone(self.auth_url, self.name, self.name, self.password).token

    def images(self) -> list[dict[str, str]]:
        """The project's images of any status, hidden ones too: id and name.

        Asked of Glance itself: the real client takes more than a second to start.
        """
        listed = Glance(self, self.image_url).all()
        return [{"id": image["id"], "name": image["name"]} for image in listed]


def _cloud(cloud: str, auth_url: str, user: str, password: str, scope: str) -> str:
    return f"""  {cloud}:
    region_name: {settings.REGION}
    identity_api_version: 3
    auth:
      auth_url: {auth_url}
      username: {user}
      password: {password}
      user_domain_id: default
      {scope}
"""


class Services:
    """Keystone and Glance in `folder`; see settings.Choices for what can be chosen.

    `ironic` is where an Ironic is to be met; without it there is none.

    A folder that was used before goes on with the projects and images it holds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        quota_bytes: int | None = None,
        locations: bool = False,
        metadata_file: Path | None = None,
        store_bytes: int | None = None,
        ironic: Place | None = None,
    ) -> None:
        self.folder = folder
        self.store = folder / "images"
        self.token_seconds = settings.DAY_SECONDS
        self.choices = Choices(quota_bytes, locations, metadata_file, store_bytes)
        self.keystone_server = Wsgi(
            venvs.venv("keystone"),
            "keystone.wsgi.api",
            folder / "keystone.log",
            {"OS_KEYSTONE_CONFIG_DIR": str(folder)},
        )
        self.glance = Wsgi(
            venvs.venv("glance"),
            "glance.wsgi.api",
            folder / "glance.log",
            {"OS_GLANCE_CONFIG_DIR": str(folder)},
            _small_disk(self.store, store_bytes) if store_bytes else (),
        )
        self.ironic = Ironic(folder / "ironic", ironic, folder) if ironic else None

    def __enter__(self) -> "Services":
        if not (self.folder / "keystone.sqlite").exists():
            seed.plant(self.folder)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def auth_url(self) -> str:
        """Where Keystone is."""
        return self.keystone_server.url + "/v3"

    @property
    def image_url(self) -> str:
        """Where Glance is, without version."""
        return self.glance.url

    def stop(self) -> None:
        """End them all."""
        if self.ironic:
            self.ironic.stop()
        self.glance.stop()
        self.keystone_server.stop()

    def start_glance(self) -> None:
        """Start Glance, where it was before if it was stopped or killed."""
        self.glance.start(self._configure_glance)

    @contextlib.contextmanager
    def tokens_of(self, seconds: int) -> Iterator[None]:
        """Keystone gives tokens that live so long while the block lasts; older ones live on."""
        try:
            self._restart_keystone(seconds)
            yield
        finally:
            self._restart_keystone(settings.DAY_SECONDS)

    def _restart_keystone(self, token_seconds: int) -> None:
        self.token_seconds = token_seconds
        self.keystone_server.stop()
        self.keystone_server.start(self._configure_keystone)

    def fresh_project(self, name: str = "", password: str = settings.PASSWORD) -> Project:
        """A new project, with no images; `password` is its member's."""
        name = name or f"project-{len(self.keystone.get('/projects')['projects'])}"
        project_id = self.keystone.project(name, password)
        return self._view(name, project_id, password)

    def project(self, name: str) -> Project:
        """The project of that name, made where it is not there."""
        for found in self.keystone.get(f"/projects?name={name}")["projects"]:
            return self._view(name, found["id"])
        return self.fresh_project(name)

    def _view(self, name: str, project_id: str, password: str = settings.PASSWORD) -> Project:
        folder = self.folder / "projects" / name
        return Project(name, project_id, self.auth_url, self.image_url, folder, password)

    def _start(self) -> None:
        for name in ("images", "staging", "tasks"):
            (self.folder / name).mkdir(exist_ok=True)
        shutil.copyfile(venvs.venv("glance") / "etc/glance" / PASTE, self.folder / PASTE)
        (self.folder / "schema-image.json").write_text(settings.SCHEMA_IMAGE)
        self.keystone_server.start(self._configure_keystone)
        self.start_glance()
        self.keystone = Keystone(self.auth_url)
        self.keystone.point("identity", self.auth_url)
        self.keystone.service("image", "glance", self.image_url)
        if self.ironic:
            self.ironic.start(self.auth_url)
            self.keystone.service("baremetal", "ironic", self.ironic.url)

    def _configure_keystone(self, url: str) -> None:
        text = settings.text(settings.keystone(self.folder, self.token_seconds))
        (self.folder / "keystone.conf").write_text(text)

    def _configure_glance(self, url: str) -> None:
        sections = settings.glance(self.folder, self.auth_url, url, self.choices)
        (self.folder / "glance-api.conf").write_text(settings.text(sections))


def _small_disk(folder: Path, size_bytes: int) -> tuple[str | Path, ...]:
    own = ("unshare", "--user", "--map-root-user", "--mount", "--")
    return (*own, "sh", "-c", SMALL_DISK, "sh", str(size_bytes), folder)
