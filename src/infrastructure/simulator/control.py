"""Direct the simulated provider over HTTP, from a process that only knows its address."""

import httpx
import msgspec

from application.core.payments.simulation import NothingToDeliver, OutcomeNotSimulated, Script
from domain.core.kernel.errors import Unavailable


class HttpPaymentSimulator:
    """The `PaymentSimulator` at a control address such as `http://127.0.0.1:8091/control`."""

    def __init__(self, client: httpx.AsyncClient, control_url: str, control_key: str) -> None:
        self._client = client
        self._control_url = control_url.rstrip("/")
        self._headers = {"x-control-key": control_key, "content-type": "application/json"}

    async def script(self, script: Script) -> None:
        """Say how the next payments end. Raises OutcomeNotSimulated and Unavailable."""
        reply = await self._post("/script", msgspec.json.encode(script))
        if reply.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise OutcomeNotSimulated(str(reply.json()["message"]))
        _check(reply)

    async def deliver(self, reference: str) -> int:
        """Send what is due of this payment. Raises NothingToDeliver and Unavailable."""
        reply = await self._post("/deliver", msgspec.json.encode({"reference": reference}))
        if reply.status_code == httpx.codes.NOT_FOUND:
            raise NothingToDeliver
        _check(reply)
        return int(reply.json()["delivered"])

    async def _post(self, path: str, body: bytes) -> httpx.Response:
        try:
            return await self._client.post(self._control_url + path, content=body, headers=self._headers)
        except httpx.HTTPError as error:
            raise Unavailable("The payment simulator does not answer.") from error


def _check(reply: httpx.Response) -> None:
    if reply.status_code != httpx.codes.OK:
        raise Unavailable("The payment simulator refuses its control key.")
