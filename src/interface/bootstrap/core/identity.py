"""Wire identity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from application.core.identity.desk import CodeDesk, TokenDesk
from application.core.identity.log_in import LogIn
from application.core.identity.log_out import LogOut
from application.core.identity.logins import LoginReader
from application.core.identity.ports import ProfilePart, RegistrationStep
from application.core.identity.queries import IdentityQueries
from application.core.identity.read_profiles import ReadProfiles
from application.core.identity.refresh_tokens import RefreshTokens
from application.core.identity.register_account import RegisterAccount
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area
from interface.http.core.identity import RegistrationController, SignInController
from interface.http.core.identity_people import MeController


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityUseCases:
    """What identity offers to the ways in."""

    register_account: RegisterAccount[Any]
    log_in: LogIn
    refresh_tokens: RefreshTokens
    log_out: LogOut
    read_profiles: ReadProfiles
    identity_queries: IdentityQueries


def identity_area(
    adapters: Adapters,
    *,
    registration_steps: Sequence[RegistrationStep[Any]] = (),
    profile_parts: Sequence[ProfilePart] = (),
) -> Area:
    """Return identity, and what the other modules add to registration and to replies about people."""
    token_desk = TokenDesk(
        access_tokens=adapters.access_tokens, hasher=adapters.codes, ids=adapters.ids, policies=adapters.policies
    )
    code_desk = CodeDesk(hasher=adapters.codes, ids=adapters.ids, policies=adapters.policies)
    use_cases = IdentityUseCases(
        register_account=RegisterAccount(
            unit_of_work=adapters.identity_units,
            clock=adapters.clock,
            ids=adapters.ids,
            randomness=adapters.randomness,
            passwords=adapters.passwords,
            phones=adapters.phones,
            token_desk=token_desk,
            code_desk=code_desk,
            steps=registration_steps,
        ),
        log_in=LogIn(
            unit_of_work=adapters.identity_units,
            queries=adapters.identity_queries,
            attempts=adapters.attempts,
            read_login=LoginReader(phones=adapters.phones),
            passwords=adapters.passwords,
            hasher=adapters.codes,
            token_desk=token_desk,
            policies=adapters.policies,
            clock=adapters.clock,
        ),
        refresh_tokens=RefreshTokens(
            unit_of_work=adapters.identity_units,
            token_desk=token_desk,
            revocations=adapters.revocations,
            clock=adapters.clock,
        ),
        log_out=LogOut(
            unit_of_work=adapters.identity_units,
            token_desk=token_desk,
            revocations=adapters.revocations,
            clock=adapters.clock,
        ),
        read_profiles=ReadProfiles(queries=adapters.identity_queries, parts=profile_parts),
        identity_queries=adapters.identity_queries,
    )
    return Area(
        name="identity", use_cases=use_cases, controllers=(RegistrationController, SignInController, MeController)
    )
