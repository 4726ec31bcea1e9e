"""Tokens, real and forged. Every forgery is refused, most of them signed with the right key."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_p256
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.core.kernel.errors import NotSignedIn
from infrastructure.security.jwt import TOKEN_LENGTH_MAX, JwtAccessTokens
from tests.contract.core.security import ACCOUNT, FAMILY, IDS, TOKEN_LIFE, AccessTokensContract, claims
from tests.fakes.core.system import NOON

KEY = "a signing key of thirty-two bytes or more"
OTHER_KEY = "another signing key, thirty-two bytes or more"
HEADER = {"alg": "HS256", "typ": "JWT"}
NOW_S = int(NOON.timestamp())


def private_pem(key: Any) -> str:
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def public_pem(key: Any) -> str:
    pem: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode()


ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OLD_ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def hs256_tokens(key: str = KEY, **options: Any) -> JwtAccessTokens:
    return JwtAccessTokens(algorithm="HS256", key=key, issuer="soko", audience="soko-api", **options)


def eddsa_tokens(key: Ed25519PrivateKey = ED25519, **options: Any) -> JwtAccessTokens:
    return JwtAccessTokens(algorithm="EdDSA", key=private_pem(key), issuer="soko", audience="soko-api", **options)


class TestHs256Tokens(AccessTokensContract):
    @pytest.fixture
    def tokens(self) -> JwtAccessTokens:
        return hs256_tokens()


class TestHs256TokensWithoutMemory(AccessTokensContract):
    @pytest.fixture
    def tokens(self) -> JwtAccessTokens:
        return hs256_tokens(remembered_max=0)


class TestEdDsaTokens(AccessTokensContract):
    @pytest.fixture
    def tokens(self) -> JwtAccessTokens:
        return eddsa_tokens()


# what a forger may write ---------------------------------------------------------------------------------------------


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def payload(**changed: Any) -> dict[str, Any]:
    """Return the claims of a good token with some changed; `...` takes one out."""
    said = {
        "sub": str(ACCOUNT),
        "aud": "soko-api",
        "iss": "soko",
        "exp": NOW_S + 900,
        "iat": NOW_S,
        "jti": "019cae6b-6600-7000-8000-000000000099",
        "fam": str(FAMILY),
        "ver": 3,
        "roles": ["student", "writer"],
    } | changed
    return {name: value for name, value in said.items() if value is not ...}


def signed(header: object = HEADER, said: object = None, *, key: str = KEY, digest: str = "sha256") -> str:
    """Return a token signed by hand; bytes are taken as they are, other values as JSON."""
    parts = [
        b64(part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode())
        for part in (header, payload() if said is None else said)
    ]
    head = ".".join(parts)
    return f"{head}.{b64(hmac.digest(key.encode(), head.encode(), digest))}"


def test_the_hand_made_token_is_good_before_it_is_changed() -> None:
    assert hs256_tokens().read(signed(), now=NOON) == claims()


def header_with(**more: object) -> dict[str, object]:
    return HEADER | more


def raw(said: str) -> bytes:
    """Return the JSON of a good payload with more text put before its closing brace."""
    return (json.dumps(payload(), separators=(",", ":"))[:-1] + said + "}").encode()


def with_signature(change: Callable[[str], str]) -> str:
    head, _, signature = signed().rpartition(".")
    return f"{head}.{change(signature)}"


def swapped_payload() -> str:
    header, _, signature = signed().split(".")
    return f"{header}.{b64(json.dumps(payload(roles=['admin'])).encode())}.{signature}"


FORGED: dict[str, str] = {
    # the algorithm
    "alg none": signed(header_with(alg="none")),
    "alg none without signature": signed(header_with(alg="none")).rpartition(".")[0] + ".",
    "alg None": signed(header_with(alg="None")),
    "alg nOnE": signed(header_with(alg="nOnE")),
    "alg null": signed(header_with(alg=None)),
    "alg empty": signed(header_with(alg="")),
    "alg missing": signed({"typ": "JWT"}),
    "alg lower case": signed(header_with(alg="hs256")),
    "alg list": signed(header_with(alg=["HS256"])),
    "alg HS384": signed(header_with(alg="HS384"), digest="sha384"),
    "alg HS512": signed(header_with(alg="HS512"), digest="sha512"),
    "alg RS256 with our secret": signed(header_with(alg="RS256")),
    "alg ES256 by a stranger": jwt.encode(payload(), new_p256(SECP256R1()), algorithm="ES256"),
    "alg ES256 with an all-zero signature": signed(header_with(alg="ES256")).rpartition(".")[0] + "." + b64(bytes(64)),
    "alg EdDSA by a stranger": jwt.encode(payload(), ED25519, algorithm="EdDSA"),
    "alg said twice": signed(b'{"alg":"none","alg":"HS256","typ":"JWT"}'),
    "HS256 announced, signed with SHA-512": signed(digest="sha512"),
    # the rest of the header
    "typ at+jwt": signed(header_with(typ="at+jwt")),
    "typ JWE": signed(header_with(typ="JWE")),
    "typ lower case": signed(header_with(typ="jwt")),
    "typ missing": signed({"alg": "HS256"}),
    "typ null": signed(header_with(typ=None)),
    "cty JWT": signed(header_with(cty="JWT")),
    "kid": signed(header_with(kid="1")),
    "kid as a path": signed(header_with(kid="../../../../dev/null"), key="\0"),
    "kid as SQL": signed(header_with(kid="x' UNION SELECT 'aaa"), key="aaa"),
    "jku": signed(header_with(jku="https://attacker.example/keys.json"), key=OTHER_KEY),
    "x5u": signed(header_with(x5u="https://attacker.example/chain.pem"), key=OTHER_KEY),
    "x5c": signed(header_with(x5c=["MIIB"]), key=OTHER_KEY),
    "jwk of one's own": signed(header_with(jwk={"kty": "oct", "k": b64(OTHER_KEY.encode())}), key=OTHER_KEY),
    "crit unknown": signed(header_with(crit=["urn:example"], **{"urn:example": 1})),
    "crit empty": signed(header_with(crit=[])),
    "crit exp": signed(header_with(crit=["exp"], exp=NOW_S + 900)),
    "b64 false": signed(header_with(b64=False, crit=["b64"])),
    "zip": signed(header_with(zip="DEF")),
    "header in another order": signed({"typ": "JWT", "alg": "HS256"}),
    "header with spaces": signed(b'{"alg": "HS256", "typ": "JWT"}'),
    "header with a byte order mark": signed(b"\xef\xbb\xbf" + json.dumps(HEADER).encode()),
    "header a list": signed(["HS256"]),
    "header empty": signed(b""),
    # the signature
    "another key": signed(key=OTHER_KEY),
    "empty key": signed(key=""),
    "key with a line break": signed(key=KEY + "\n"),
    "signature missing": with_signature(lambda _: ""),
    "signature cut": with_signature(lambda s: s[:-2]),
    "signature longer": with_signature(lambda s: s + "AA"),
    "signature padded": with_signature(lambda s: s + "="),
    "signature with other last bits": with_signature(
        lambda s: s[:-1] + chr(ord(s[-1]) + 1) if s[-1] not in "Zz9-_" else s[:-1] + "B"
    ),
    "signature with a space": with_signature(lambda s: s[:10] + " " + s[10:]),
    "signature with a line break": with_signature(lambda s: s + "\n"),
    "signature of zeros": with_signature(lambda _: b64(bytes(32))),
    "payload exchanged": swapped_payload(),
    "two parts": ".".join(signed().split(".")[:2]),
    "four parts": signed() + ".x",
    "five parts": "a.b.c.d.e",
    "leading space": " " + signed(),
    "bearer word": "Bearer " + signed(),
    "trailing line break": signed() + "\r\n",
    # the claims, rightly signed
    "aud of another service": signed(said=payload(aud="other-api")),
    "aud a list": signed(said=payload(aud=["soko-api"])),
    "aud missing": signed(said=payload(aud=...)),
    "aud prefix": signed(said=payload(aud="soko")),
    "iss of another": signed(said=payload(iss="https://attacker.example")),
    "iss missing": signed(said=payload(iss=...)),
    "iss a list": signed(said=payload(iss=["soko"])),
    "exp passed": signed(said=payload(exp=NOW_S - 1)),
    "exp now": signed(said=payload(exp=NOW_S)),
    "exp missing": signed(said=payload(exp=...)),
    "exp null": signed(said=payload(exp=None)),
    "exp text": signed(said=payload(exp=str(NOW_S + 900))),
    "exp a fraction": signed(said=payload(exp=NOW_S + 900.5)),
    "exp true": signed(said=payload(exp=True)),
    "exp negative": signed(said=payload(exp=-1)),
    "exp beyond time": signed(said=payload(exp=10**30)),
    "exp infinite": signed(said=payload(exp=float("inf"))),
    "exp not a number": signed(said=payload(exp=float("nan"))),
    "iat ahead": signed(said=payload(iat=NOW_S + 31)),
    "iat missing": signed(said=payload(iat=...)),
    "iat text": signed(said=payload(iat="now")),
    "nbf ahead": signed(said=payload(nbf=NOW_S + 31)),
    "nbf text": signed(said=payload(nbf="tomorrow")),
    "mfa text": signed(said=payload(mfa="now")),
    "mfa null": signed(said=payload(mfa=None)),
    "mfa true": signed(said=payload(mfa=True)),
    "mfa beyond time": signed(said=payload(mfa=10**30)),
    "jti missing": signed(said=payload(jti=...)),
    "jti no id": signed(said=payload(jti="1")),
    "sub missing": signed(said=payload(sub=...)),
    "sub a number": signed(said=payload(sub=1)),
    "sub no id": signed(said=payload(sub="admin")),
    "fam missing": signed(said=payload(fam=...)),
    "ver missing": signed(said=payload(ver=...)),
    "ver text": signed(said=payload(ver="3")),
    "ver true": signed(said=payload(ver=True)),
    "roles missing": signed(said=payload(roles=...)),
    "roles a text": signed(said=payload(roles="admin")),
    "roles of numbers": signed(said=payload(roles=[1])),
    "roles of lists": signed(said=payload(roles=[["admin"]])),
    "sub said twice": signed(said=raw(f',"sub":"{FAMILY}"')),
    "exp said twice": signed(said=raw(f',"exp":{NOW_S + 90_000}')),
    "roles said twice": signed(said=raw(',"roles":["admin"]')),
    "roles said twice, once escaped": signed(said=raw(',"r\\u006fles":["admin"]')),
    "unknown claim said twice": signed(said=raw(',"x":1,"x":2')),
    # the shape of the payload
    "payload empty": signed(said=b""),
    "payload null": signed(said=b"null"),
    "payload a list": signed(said=[payload()]),
    "payload a text": signed(said="admin"),
    "payload no JSON": signed(said=b"{'sub':1}"),
    "payload followed by more": signed(said=json.dumps(payload()).encode() + b"{}"),
    "payload no UTF-8": signed(said=b'{"sub":"\xff"}'),
    "payload deep": signed(said=b"[" * 2500),
    "payload a nested token": signed(said=signed().encode()),
    "payload too large": signed(said=payload(filler="x" * TOKEN_LENGTH_MAX)),
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
@pytest.mark.parametrize("remembered_max", [0, 16])
def test_a_forged_token_is_refused_also_when_the_real_one_is_remembered(token: str, remembered_max: int) -> None:
    """Goal A4."""
    tokens = hs256_tokens(previous_key="an older signing key, thirty-two bytes", remembered_max=remembered_max)
    tokens.read(signed(), now=NOON)
    for _ in range(2):
        with pytest.raises(NotSignedIn):
            tokens.read(token, now=NOON)


def test_there_are_enough_forgeries_and_no_two_are_alike() -> None:
    assert len(FORGED) >= 60
    assert len(set(FORGED.values())) == len(FORGED)
    assert signed() not in FORGED.values()


@pytest.mark.parametrize("key", [public_pem(ED25519), public_pem(ED25519).strip(), private_pem(ED25519)])
def test_the_public_key_is_no_secret_to_sign_with(key: str) -> None:
    tokens = eddsa_tokens()
    for header in (HEADER, {"alg": "EdDSA", "typ": "JWT"}):
        with pytest.raises(NotSignedIn):
            tokens.read(signed(header, key=key), now=NOON)


def test_a_token_of_the_other_algorithm_is_refused_both_ways() -> None:
    by_hmac = hs256_tokens().issue(claims(), token_id=IDS.new(), issued_at=NOON)
    by_curve = eddsa_tokens().issue(claims(), token_id=IDS.new(), issued_at=NOON)
    for tokens, token in ((eddsa_tokens(), by_hmac), (hs256_tokens(), by_curve)):
        with pytest.raises(NotSignedIn):
            tokens.read(token, now=NOON)


# what is allowed -----------------------------------------------------------------------------------------------------


def test_another_library_reads_what_is_issued() -> None:
    options: Any = {"verify_exp": False, "verify_iat": False}
    token_id = IDS.new()
    for tokens, key, algorithm in (
        (hs256_tokens(), KEY, "HS256"),
        (eddsa_tokens(), public_pem(ED25519), "EdDSA"),
    ):
        token = tokens.issue(claims(), token_id=token_id, issued_at=NOON)
        said = jwt.decode(token, key, algorithms=[algorithm], audience="soko-api", issuer="soko", options=options)
        assert said == payload(jti=str(token_id))
        assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT"}


def test_a_clock_thirty_seconds_ahead_is_forgiven_and_one_more_is_not() -> None:
    tokens = hs256_tokens()
    token = tokens.issue(claims(), token_id=IDS.new(), issued_at=NOON)
    assert tokens.read(token, now=NOON - timedelta(seconds=30)) == claims()
    with pytest.raises(NotSignedIn):
        tokens.read(token, now=NOON - timedelta(seconds=31))
    assert tokens.read(token, now=NOON) == claims()


def test_an_unknown_claim_of_a_newer_release_is_let_be() -> None:
    assert hs256_tokens().read(signed(said=payload(newer={"a": 1})), now=NOON) == claims()


@pytest.mark.parametrize("remembered_max", [0, 8])
def test_after_a_rotation_the_previous_key_still_reads_and_no_longer_signs(remembered_max: int) -> None:
    old = hs256_tokens(OTHER_KEY).issue(claims(), token_id=IDS.new(), issued_at=NOON)
    rotated = hs256_tokens(KEY, previous_key=OTHER_KEY, remembered_max=remembered_max)
    assert rotated.read(old, now=NOON) == claims()
    new = rotated.issue(claims(), token_id=IDS.new(), issued_at=NOON)
    with pytest.raises(NotSignedIn):
        hs256_tokens(OTHER_KEY).read(new, now=NOON)
    with pytest.raises(NotSignedIn):
        hs256_tokens(KEY).read(old, now=NOON)


def test_for_eddsa_the_public_half_of_the_previous_key_is_enough() -> None:
    old = eddsa_tokens(OLD_ED25519).issue(claims(), token_id=IDS.new(), issued_at=NOON)
    assert eddsa_tokens(previous_key=public_pem(OLD_ED25519)).read(old, now=NOON) == claims()


def test_memory_of_verified_tokens_is_bounded_and_a_forgotten_one_is_verified_again() -> None:
    tokens = hs256_tokens(remembered_max=3)
    issued = [tokens.issue(claims(), token_id=IDS.new(), issued_at=NOON) for _ in range(10)]
    for token in issued:
        assert tokens.read(token, now=NOON) == claims()
    assert len(tokens._remembered) == 3
    assert tokens.read(issued[0], now=NOON) == claims()


def test_an_ended_token_is_forgotten() -> None:
    tokens = hs256_tokens()
    token = tokens.issue(claims(), token_id=IDS.new(), issued_at=NOON)
    tokens.read(token, now=NOON)
    with pytest.raises(NotSignedIn):
        tokens.read(token, now=NOON + TOKEN_LIFE)
    assert tokens._remembered == {}


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("HS256", "x" * 31),
        ("HS256", public_pem(ED25519)),
        ("EdDSA", KEY),
        ("EdDSA", public_pem(ED25519)),
        ("EdDSA", private_pem(Ed448PrivateKey.generate())),
        ("EdDSA", private_pem(new_p256(SECP256R1()))),
    ],
)
def test_a_key_that_does_not_fit_the_algorithm_is_refused_at_start(algorithm: Any, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        JwtAccessTokens(algorithm=algorithm, key=key, issuer="soko", audience="soko-api")
