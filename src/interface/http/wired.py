"""Dependencies of controllers that were wired at start: given by name, and not validated at each request.

Litestar checks a dependency against its annotation with isinstance, which a port (a Protocol) cannot answer, and which
costs time for something that only our own container provides.
"""

from typing import TypeAlias, TypeVar

from litestar.di import NamedDependency
from litestar.params import SkipValidation

T = TypeVar("T")

Wired: TypeAlias = NamedDependency[SkipValidation[T]]
"""`clock: Wired[Clock]` is what the container calls `clock`."""
