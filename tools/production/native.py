"""What a service of `docker-compose.yml` is on this machine: images become programs, and what only holds inside a container
(its files, names and ports) becomes what holds here. Nothing else is changed."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from starter.supervision import HOST, choose
from tools.production.binaries import Binaries
from tools.production.compose import ROOT, Service

LEFT_OUT = frozenset({"prometheus", "grafana"})
"""Services that no program stands in for here."""
_SECRETS = "/run/secrets"
_NAMES_HOST = re.compile(r"(?:HOST|SEEDS)$")
"""Variables whose value is another service's name: its host."""


class Places:
    """Where everything lies and listens. `replica`: a service's name, or `worker-1` and so on where there are several."""

    def __init__(self, state: Path, services: Mapping[str, Service]) -> None:
        self.state = state
        self._services = services
        chosen = {published for service in services.values() for published in service.published.values()}
        self._ports: dict[tuple[str, int], int] = {}
        for service in services.values():
            for replica in replicas(service):
                for port in service.exposed:
                    native = service.published.get(port) or choose(0, chosen)
                    self._ports[replica, port] = native
        self._chosen = chosen
        self._routes: dict[tuple[str | None, str, int], int] = {}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._services)

    def port(self, replica: str, port: int | None = None) -> int:
        """Where it really listens; `port` as in the compose file, and its first one when left out."""
        return self._ports[replica, port or self._services[service_of(replica)].exposed[0]]

    def add_replica(self, service: Service, replica: str) -> None:
        """One more of a service, with ports of its own."""
        for port in service.exposed:
            self._ports[replica, port] = choose(0, self._chosen)

    def free_port(self) -> int:
        return choose(0, self._chosen)

    def route(self, service: str, to: int, port: int | None, of: str | None) -> None:
        """From here on `of` (None: everybody) finds a port of `service` at `to`."""
        self._routes[of, service, port or self._services[service].exposed[0]] = to

    def found_at(self, service: str, port: int, by: str) -> int:
        """Where `by` finds a port of `service`."""
        real = self._ports[replicas(self._services[service])[0], port]
        return self._routes.get((service_of(by), service, port), self._routes.get((None, service, port), real))

    def secrets_of(self, service: Service) -> Path:
        return self.state / "secrets-of" / service.name

    def volume(self, source: str) -> Path:
        return ROOT / source if source.startswith(".") else self.state / "volumes" / source

    def here(self, text: str, service: Service, replica: str) -> str:
        """What `text` of the compose file is on this machine."""
        for target, source in sorted(service.volumes.items(), reverse=True):
            text = _moved(text, target, self.volume(source))
        text = _moved(text, _SECRETS, self.secrets_of(service))
        text = _moved(text, "/var/lib/tokens", self.state / "volumes" / "none")
        for port in service.exposed:
            text = re.sub(
                rf"(?:0\.0\.0\.0|127\.0\.0\.1|localhost):{port}\b", f"{HOST}:{self.port(replica, port)}", text
            )
            if text == str(port):
                return str(self.port(replica, port))
        text = text.replace("0.0.0.0", HOST)  # noqa: S104  # replaced, not bound
        for other in self._services.values():
            for port in other.exposed:
                if other is not service and text == str(port):
                    return str(self.found_at(other.name, port, replica))
                text = re.sub(rf"\b{other.name}:{port}\b", f"{HOST}:{self.found_at(other.name, port, replica)}", text)
        return text


def service_of(replica: str) -> str:
    return re.sub(r"-\d+$", "", replica)


def replicas(service: Service) -> list[str]:
    return (
        [f"{service.name}-{number + 1}" for number in range(service.scale)]
        if service.name == "worker"
        else [service.name]
    )


def _moved(text: str, folder: str, to: Path) -> str:
    return re.sub(rf"(?<![\w.]){re.escape(folder)}(?=/|$|\s)", str(to), text)


def environment(service: Service, replica: str, places: Places, binaries: Binaries) -> dict[str, str]:
    """Of this machine's environment nothing but where programs are: a container has nothing of it either."""
    given = {
        name: HOST if _NAMES_HOST.search(name) and value in places.names else places.here(value, service, replica)
        for name, value in service.environment.items()
    }
    path = f"{Path(sys.executable).parent}:{binaries.path}:/usr/local/bin:/usr/bin:/bin"
    own = {"PATH": path, "HOME": str(places.state), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    return {**own, **given, **_beside(service, places)}


def _beside(service: Service, places: Places) -> dict[str, str]:
    """What programs need here because they share one machine."""
    if service.name != "temporal":
        return {}
    services = ("FRONTEND", "HISTORY", "MATCHING", "WORKER")
    ports = [f"{name}_MEMBERSHIP_PORT" for name in services] + [f"{name}_GRPC_PORT" for name in services[1:]]
    return {"BIND_ON_IP": HOST, **{name: str(places.free_port()) for name in (*ports, "FRONTEND_HTTP_PORT")}}


def command(service: Service, replica: str, places: Places, binaries: Binaries) -> list[str]:
    """What is run in place of the image with its command. The database is `postgresql.command`'s."""
    given = [places.here(part, service, replica) for part in service.command]
    if service.name == "temporal":
        at = given.index("/etc/temporal/entrypoint.sh")  # which runs just this
        return [*given[:at], "temporal-server", "start", *given[at + 1 :]]
    if service.name == "ui":
        return [str(binaries.server / "temporal-ui"), "--root", str(binaries.ui), "--env", "docker", "start"]
    if service.name == "mail":
        smtp, control = (str(places.port(replica, port)) for port in (1025, 8025))
        folder = str(places.state / "mail")
        return [sys.executable, "-m", "simulators.mail", "--port", smtp, "--control-port", control, "--maildir", folder]
    return [sys.executable, *given[1:]] if given[0] == "python" else given
