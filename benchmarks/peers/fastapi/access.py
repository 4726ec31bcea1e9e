"""What routes depend on: a session of the database, and a caller with a role."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.peers.market import AUDIENCE, ISSUER, SECRET

engine = create_async_engine(
    os.environ.get("PEER_DATABASE_URL", "postgresql+asyncpg://"),
    pool_size=int(os.environ.get("PEER_POOL", "10")),
    max_overflow=0,
    json_serializer=lambda value: to_json(value).decode(),
)
open_session = async_sessionmaker(engine, expire_on_commit=False)
open_reading_session = async_sessionmaker(engine.execution_options(isolation_level="AUTOCOMMIT"))


async def session_of_request() -> AsyncIterator[AsyncSession]:
    """Lend a session for one request."""
    async with open_session() as session:
        yield session


async def session_of_reading() -> AsyncIterator[AsyncSession]:
    """Lend a session that begins no transaction: a read is one statement or two, and sends nothing else."""
    async with open_reading_session() as session:
        yield session


ReadingSession = Annotated[AsyncSession, Depends(session_of_reading)]
Session = Annotated[AsyncSession, Depends(session_of_request)]

bearer = HTTPBearer()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is signed in."""

    id: UUID
    roles: frozenset[str]


async def signed_in(said: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> Caller:
    """Read the token. Raises HTTPException."""
    try:
        claims = jwt.decode(said.credentials, SECRET, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER)
        return Caller(UUID(claims["sub"]), frozenset(claims["roles"]))
    except (jwt.InvalidTokenError, KeyError, ValueError) as error:
        raise HTTPException(401, "Sign in.", {"WWW-Authenticate": "Bearer"}) from error


def having(role: str) -> Callable[[Caller], Awaitable[Caller]]:
    """Return what lets only callers with a role pass."""

    async def check(caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
        if role not in caller.roles:
            raise HTTPException(403, "This is not for you.")
        return caller

    return check


SignedIn = Annotated[Caller, Depends(signed_in)]
WriterOnly = Annotated[Caller, Depends(having("writer"))]
AdminOnly = Annotated[Caller, Depends(having("admin"))]
