"""Count what is answered, and the sockets that are open."""

from application.core.operations.figures import Figures, Timing

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def known_method(method: str) -> str:
    """Return a method under the name that is counted: made-up ones are all the same."""
    return method if method in METHODS else "other"


class HttpMeter:
    """Counts replies by route and status; a route is a template, so there are as many series as there are handlers."""

    def __init__(self, figures: Figures | None = None) -> None:
        self.figures = figures or Figures()
        self._found: dict[tuple[str, str], Timing] = {}
        """The timings that were used, by what the request says."""

    def begun(self) -> None:
        """Count a request that is being answered."""
        self.figures.in_flight += 1

    def answered(self, method: str, route: str, status: int, seconds: float, code: str | None) -> None:
        """Count one reply; `code` says what was refused, where something was."""
        figures = self.figures
        figures.in_flight -= 1
        timing = self._found.get((method, route))
        if timing is None:
            known = known_method(method)  # made-up methods must not fill the memory
            timing = figures.reply_times[known, route]
            if known == method:
                self._found[method, route] = timing
            else:
                method = known
        timing.observe(seconds)
        figures.replies[method, route, str(status)] += 1
        if code is not None:
            figures.refusals[code,] += 1

    def socket_opened(self, route: str) -> None:
        """Count a socket."""
        self.figures.sockets[route,] += 1

    def socket_closed(self, route: str) -> None:
        """Uncount a socket."""
        self.figures.sockets[route,] -= 1
