"""A circuit breaker: stop asking a provider that does not answer, and try again after a while with one request."""

from datetime import datetime, timedelta
from math import ceil

from application.core.kernel.ports import Clock


class Circuit:
    """Closed, open or half open, in the memory of one process.

    Opens after `failures_to_open` failures in a row and lets one trial through once `open_for` has passed; the
    trial's result decides. A provider that names a time to come back is left alone until then.
    """

    def __init__(self, clock: Clock, *, failures_to_open: int, open_for: timedelta) -> None:
        self._clock = clock
        self._failures_to_open = failures_to_open
        self._open_for = open_for
        self._failures = 0
        self._closed_from: datetime | None = None
        self._is_on_trial = False

    def wait_s(self) -> int | None:
        """Return None where a request may go, else the whole seconds until the next one may."""
        if self._closed_from is None:
            return None
        left_s = (self._closed_from - self._clock.now()).total_seconds()
        if left_s > 0:
            return ceil(left_s)
        return 1 if self._is_on_trial else None

    def begin(self) -> None:
        """Note that a request goes out; while half open it is the one trial."""
        self._is_on_trial = self._closed_from is not None

    def succeeded(self) -> None:
        """Note an answer: the provider is there."""
        self._failures, self._closed_from, self._is_on_trial = 0, None, False

    def failed(self) -> None:
        """Note a request without an answer."""
        self._failures += 1
        if self._is_on_trial or self._failures >= self._failures_to_open:
            self.pause(self._open_for)
        self._is_on_trial = False

    def pause(self, time: timedelta) -> None:
        """Let nothing through for this long."""
        self._closed_from = self._clock.now() + time
        self._is_on_trial = False

    def abandoned(self) -> None:
        """Note that the request was cancelled by its caller, which says nothing of the provider."""
        self._is_on_trial = False
