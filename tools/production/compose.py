"""`docker-compose.yml`, read: what each service runs, with what environment, secrets and volumes, after which others."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = ROOT / "docker-compose.yml"

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]


@dataclass(frozen=True)
class Service:
    """One service. `secrets`: name in the container to file on this machine. `volumes`: path in the container to what is
    mounted there. `exposed`: ports on which it listens. `after`: others, and what must have become of them."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, Path]
    volumes: Mapping[str, str]
    exposed: tuple[int, ...]
    published: Mapping[int, int]
    after: Mapping[str, Condition]
    health: tuple[str, ...]
    scale: int
    profiles: tuple[str, ...]
    once: bool
    grace: float


def services(variables: Mapping[str, str], file: Path = FILE) -> dict[str, Service]:
    """All services by name. `variables`: what `${NAME}` stands for. Raises ValueError where the file says something that this
    reader does not know."""
    content = _interpolated(yaml.safe_load(file.read_text()), variables)
    secrets = {name: (file.parent / given["file"]).resolve() for name, given in content.get("secrets", {}).items()}
    return {name: _service(name, given, secrets) for name, given in content["services"].items()}


def in_order(all_services: Mapping[str, Service]) -> Iterator[list[Service]]:
    """Wave after wave: each one's services need only what came before."""
    left = dict(all_services)
    while left:
        wave = [one for one in left.values() if not any(other in left for other in one.after)]
        if not wave:
            raise ValueError(f"these services wait for one another: {', '.join(left)}")
        yield wave
        for one in wave:
            del left[one.name]


def _service(name: str, given: Mapping[str, Any], files: Mapping[str, Path]) -> Service:
    published = dict(_port(port) for port in given.get("ports", ()))
    return Service(
        name=name,
        image=given["image"],
        command=tuple(map(str, given.get("command", ()))),
        environment={key: str(value) for key, value in given.get("environment", {}).items()},
        secrets=dict(_secret(secret, files) for secret in given.get("secrets", ())),
        volumes={target: source for source, target in (_volume(volume) for volume in given.get("volumes", ()))},
        exposed=tuple(sorted({*map(int, given.get("expose", ())), *published})),
        published=published,
        after={other: _condition(wanted) for other, wanted in given.get("depends_on", {}).items()},
        health=tuple(map(str, given.get("healthcheck", {}).get("test", ()))),
        scale=int(given.get("scale", 1)),
        profiles=tuple(given.get("profiles", ())),
        once=given.get("restart") == "no",
        grace=_seconds(given.get("stop_grace_period", "10s")),
    )


def _port(text: str) -> tuple[int, int]:
    """`ADDRESS:PUBLISHED:TARGET` as target to published."""
    _, published, target = text.rsplit(":", 2)
    return int(target), int(published)


def _secret(given: Any, files: Mapping[str, Path]) -> tuple[str, Path]:
    source, target = (given, given) if isinstance(given, str) else (given["source"], given["target"])
    return target, files[source]


def _volume(text: str) -> tuple[str, str]:
    source, target = text.removesuffix(":ro").split(":")
    return source, target


def _condition(given: Mapping[str, Any]) -> Condition:
    return given.get("condition", "service_started")


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)(s|m)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a time such as 30s")
    return int(match[1]) * {"s": 1, "m": 60}[match[2]]


# Interpolation, as Compose does it: ${NAME}, ${NAME:-instead}, $$


def _interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_interpolated(item, variables) for item in value]
    return interpolate(value, variables.get) if isinstance(value, str) else value


def interpolate(text: str, value_of: Callable[[str], str | None]) -> str:
    """`text` with its variables filled in; what stands instead of one may hold others. Raises ValueError."""
    result, place = "", 0
    while (dollar := text.find("$", place)) >= 0:
        result += text[place:dollar]
        if text.startswith("$$", dollar):
            result, place = result + "$", dollar + 2
            continue
        end = _closing(text, dollar)
        match = re.fullmatch(r"(\w+)(?::-(.*))?", text[dollar + 2 : end], re.DOTALL)
        if match is None:
            raise ValueError(f"{text!r} holds a variable that is neither ${{NAME}} nor ${{NAME:-instead}}")
        given = value_of(match[1])
        result += given or interpolate(match[2] or "", value_of)
        place = end + 1
    return result + text[place:]


def _closing(text: str, dollar: int) -> int:
    """Where the brace that opens after `dollar` is closed."""
    depth = 0
    for place in range(dollar + 1, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place if text[dollar + 1] == "{" else -1
    raise ValueError(f"{text!r} opens a variable and does not close it")
