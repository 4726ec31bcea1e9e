"""Pages by cursor, which go on after a row, however many stand before it."""

from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination

from benchmarks.peers.market import PAGE_DEFAULT, PAGE_MAX, cursor_of, edge_of


class TaskPagination(CursorPagination):
    """The framework's pagination by cursor, with cursors as Soko's clients have them."""

    ordering = "id"
    page_size = PAGE_DEFAULT
    page_size_query_param = "limit"
    max_page_size = PAGE_MAX

    def decode_cursor(self, request: Any) -> Cursor | None:
        encoded = request.query_params.get(self.cursor_query_param)
        if encoded is None:
            return None
        try:
            edge, is_backward = edge_of(encoded)
        except ValueError as error:
            raise NotFound(self.invalid_cursor_message) from error
        return Cursor(offset=0, reverse=is_backward, position=edge)

    def encode_cursor(self, cursor: Cursor) -> str:
        text = cursor_of(cursor.position, is_backward=cursor.reverse)
        return str(self.base_url).partition("?")[0] + f"?limit={self.page_size}&cursor={text}"

    def _get_position_from_instance(self, instance: Any, ordering: Any) -> Any:
        return instance.pk
