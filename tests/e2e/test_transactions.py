"""What `open_market` says at its end of each test: nobody outside was asked while a transaction was open."""

from tests.e2e.market import MailerInMemory, Market


async def test_a_call_inside_a_transaction_is_noticed(market: Market) -> None:
    mailer = MailerInMemory()
    async with market.database.transaction():
        assert mailer.send is not None
    assert mailer.asked_inside == ["send"]


async def test_a_call_before_or_after_one_is_none(market: Market) -> None:
    mailer = MailerInMemory()
    assert mailer.send is not None
    async with market.database.transaction():
        pass
    assert mailer.send is not None
    assert mailer.asked_inside == []
