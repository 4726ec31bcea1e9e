"""What the README tells people to send is what the server takes."""

import re
from pathlib import Path

from tests.e2e.market import Market

README = (Path(__file__).parents[2] / "README.md").read_text()
IDS = re.compile(r"\{\w+\}")


async def test_every_request_of_the_readme_is_in_the_api_document(market: Market) -> None:
    document = (await market.get(None, "/api/schema")).json()
    known = {(method.upper(), IDS.sub("{}", path)) for path, methods in document["paths"].items() for method in methods}
    told = {
        (method, IDS.sub("{}", path))
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH)\s+(/api/[\w/{}-]+)", README)
    }
    assert len(told) >= 6
    assert told - known == set()


async def test_every_request_of_the_walk_through_is_in_the_api_document(market: Market) -> None:
    document = (await market.get(None, "/api/schema")).json()
    known = {(method.upper(), IDS.sub("{}", path)) for path, methods in document["paths"].items() for method in methods}
    walked = {
        ("POST" if re.search(r" -(?:X POST|d|F) ", line) else "GET", "/api" + re.sub(r"\$\w+", "{}", path))
        for line in re.sub(r"\\\n\s*", "", README).splitlines()
        for path in re.findall(r"curl -s .*?\$api(/[\w/$-]+)", line)
    }
    assert len(walked) >= 12
    assert walked <= known


async def test_every_page_of_the_readme_opens(market: Market) -> None:
    pages = set(re.findall(r"(?:127\.0\.0\.1:8000|`)(/(?:api/docs|api/redoc|api/schema|health|metrics)[\w/]*)", README))
    assert len(pages) >= 5
    for page in pages:
        assert (await market.get(None, page)).status_code == 200, page
