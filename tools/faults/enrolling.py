"""A prescriber with a browser, who follows the link in the email and does what the pages ask."""

import re
from pathlib import Path

import httpx

from simulators.devices import HardDevice
from simulators.soft_app import SoftApp

_PIN = "2580"
_FROM_OUR_PAGES = {"Sec-Fetch-Site": "same-origin"}


class NotNow(Exception):
    """It did not work this time; to be tried again."""


class Browser:
    """Opens one link. Every step raises NotNow."""

    def __init__(self, http: httpx.AsyncClient, link: str) -> None:
        self._http, self._path = http, f"/activate/{link}"
        self._cookies: dict[str, str] = {}

    async def hard(self, serial: str, devices: Path) -> None:
        """Returns when the page says that the token is enrolled."""
        form = await self._form()
        await self._step("serial", form, serial_number=serial)
        # Pressed only once the page for it is there.
        await self._step("passcode", form, passcode=HardDevice(serial, devices).press())

    async def soft(self, journey_id: str, devices: Path) -> None:
        form = await self._form()
        for step, fields in (("device", {"device": "other"}), ("download", {}), ("name", {"token_name": "My phone"})):
            await self._step(step, form, **fields)
        page = await self._sent("pin", {"form": form, "pin": _PIN, "pin_again": _PIN})
        reference = re.search(r'name="enrollment_ref" value="([^"]+)"', page.text)
        uri = re.search(r'href="(otpauth:[^"]+)"', page.text)
        if reference is None or uri is None:
            raise NotNow(f"pin: {page.status_code}")
        SoftApp(journey_id, devices).scan(uri[1].replace("&amp;", "&"))
        await self._step("enroll", form, enrollment_ref=reference[1])

    async def _form(self) -> str:
        page = await self._asked("GET", self._path)
        found = re.search(r'name="form" value="([^"]+)"', page.text)
        if page.status_code != 200 or found is None:
            raise NotNow(f"link: {page.status_code}")
        return found[1]

    async def _step(self, step: str, form: str, **fields: str) -> None:
        answer = await self._sent(step, {"form": form, **fields})
        if answer.status_code != 303:
            raise NotNow(f"{step}: {answer.status_code}")

    async def _sent(self, step: str, fields: dict[str, str]) -> httpx.Response:
        return await self._asked("POST", f"{self._path}/{step}", fields)

    async def _asked(self, method: str, path: str, fields: dict[str, str] | None = None) -> httpx.Response:
        headers = {**_FROM_OUR_PAGES, "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        try:
            answer = await self._http.request(method, path, data=fields, headers=headers)
        except httpx.HTTPError as fault:
            raise NotNow(type(fault).__name__) from None
        self._cookies |= dict(answer.cookies)
        return answer
