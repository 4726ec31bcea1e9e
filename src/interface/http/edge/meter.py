"""Count what is answered, and the sockets that are open."""

from application.core.operations.figures import Figures

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def known_method(method: str) -> str:
    """Return a method under the name that is counted: made-up ones are all the same, lest they fill the memory."""
    return method if method in METHODS else "other"


class HttpMeter:
    """Counts replies by route and status; a route is a template, so there are as many series as there are handlers."""

    def __init__(self, figures: Figures | None = None) -> None:
        self.figures = figures or Figures()

    def begun(self) -> None:
        """Count a request that is being answered."""
        self.figures.in_flight += 1

    def answered(self, method: str, route: str, status: int, seconds: float, code: str | None) -> None:
        """Count one reply; `code` says what was refused, where something was."""
        figures, method = self.figures, known_method(method)
        figures.in_flight -= 1
        figures.reply_times[method, route].observe(seconds)
        figures.replies[method, route, str(status)] += 1
        if code is not None:
            figures.refusals[code,] += 1

    def socket_opened(self, route: str) -> None:
        """Count a socket."""
        self.figures.sockets[route,] += 1

    def socket_closed(self, route: str) -> None:
        """Uncount a socket."""
        self.figures.sockets[route,] -= 1
