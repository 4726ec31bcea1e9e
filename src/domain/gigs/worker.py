"""Those who do the work, as they present themselves."""

from dataclasses import dataclass, field

from domain.core.kernel.errors import FieldError, Invalid, NotFound
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money

AREA = "gigs"
"""Under which name reviews of workers are kept."""
EXPERIENCE_YEARS_MAX = 60


class WorkerNotFound(NotFound):
    """There is no such worker."""

    code = "gigs.worker_not_found"


class UnknownService(Invalid):
    """One of these services does not exist."""

    code = "gigs.unknown_service"

    def __init__(self) -> None:
        super().__init__(errors=(FieldError("specializations", "names a service that does not exist"),))


@dataclass(slots=True, kw_only=True)
class WorkerProfile:
    """A worker's own words about himself. Its id is his account's; which services he does is kept beside it."""

    account_id: AccountId
    experience_years: int = 0
    hourly_rate: Money = field(default_factory=Money.zero)
    is_available: bool = True
    bio: str = ""

    def edit(
        self,
        *,
        experience_years: int | None = None,
        hourly_rate: Money | None = None,
        is_available: bool | None = None,
        bio: str | None = None,
    ) -> None:
        """Change what is given. Raises Invalid."""
        if experience_years is not None:
            if not 0 <= experience_years <= EXPERIENCE_YEARS_MAX:
                raise Invalid(errors=(FieldError("experience_years", f"is between 0 and {EXPERIENCE_YEARS_MAX}"),))
            self.experience_years = experience_years
        self.hourly_rate = self.hourly_rate if hourly_rate is None else hourly_rate
        self.is_available = self.is_available if is_available is None else is_available
        self.bio = self.bio if bio is None else bio
