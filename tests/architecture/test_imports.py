"""Who may import whom. The lists come from the folders, and each rule is shown to catch what it names."""

import pytest

from tests.architecture.house import CORE, VERTICALS, source_files, violations


def test_the_house_keeps_its_rules() -> None:
    files = source_files()
    assert len(files) > 200  # an empty walk must not pass
    assert [line for path, source in files.items() for line in violations(path, source)] == []


def test_the_rooms_are_read_from_the_folders() -> None:
    assert {"kernel", "identity", "ledger", "payments", "notifications"} <= CORE
    assert "assignments" in VERTICALS
    assert "core" not in VERTICALS


@pytest.mark.parametrize(
    ("path", "line"),
    [
        # 1: the inner layers use the standard library and each other, outer layers never
        ("src/domain/core/kernel/money.py", "import msgspec"),
        ("src/domain/core/kernel/money.py", "from application.core.kernel.ports import Clock"),
        ("src/application/core/payments/top_up.py", "import httpx"),
        ("src/application/core/payments/top_up.py", "from infrastructure.lipana.gateway import LipanaPaymentGateway"),
        ("src/application/assignments/claim_task.py", "from interface.http.wire import MoneyBody"),
        # 2: the outer layers never see each other, and nobody sees the bootstrap
        ("src/infrastructure/smtp/mailer.py", "from interface.http.errors import problem"),
        ("src/interface/http/core/wallet.py", "from infrastructure.postgres.database import Database"),
        ("src/interface/http/assignments/writers.py", "from interface.bootstrap.container import Server"),
        ("src/infrastructure/queue/relay.py", "from interface.bootstrap.settings import Settings"),
        ("src/interface/cli/core/ledger.py", "import interface.bootstrap.runtime"),
        # 3: verticals are strangers to one another, and to core
        ("src/domain/core/ledger/transfer.py", "from domain import assignments"),
        ("src/domain/core/ledger/transfer.py", "from domain.assignments.task import Task"),
        ("src/application/core/files/open_file.py", "from application.assignments.ports import TaskLabels"),
        ("src/infrastructure/postgres/core/ledger.py", "from infrastructure.postgres.assignments import tables"),
        ("src/interface/http/errors.py", "from domain.assignments.task import TaskNotFound"),
        ("src/infrastructure/lipana/gateway.py", "from domain.assignments.task import Task"),
        ("src/application/tutoring/book.py", "from application.assignments.claim_task import ClaimTask"),
        # 4: kernel <- identity <- ledger <- payments; the others see kernel and identity
        ("src/domain/core/kernel/ids.py", "from domain.core.identity.roles import Role"),
        ("src/application/core/kernel/receipts.py", "from application.core.ledger.ports import EarningsUnitOfWork"),
        ("src/application/core/identity/log_in.py", "from application.core.ledger.open_wallet import OpenWallet"),
        ("src/domain/core/ledger/transfer.py", "from domain.core.payments.intent import Intent"),
        ("src/application/core/files/open_file.py", "from domain.core.payments.intent import Intent"),
        ("src/application/core/payments/top_up.py", "from application.core.notifications.ports import Notices"),
        ("src/infrastructure/postgres/core/files.py", "from domain.core.ledger.transfer import Transfer"),
        ("src/infrastructure/postgres/core/identity_queries.py", "from infrastructure.postgres.core import payments"),
        ("src/interface/http/core/wallet.py", "from application.core.payments.top_up import TopUp"),
        ("src/interface/http/edge/cors.py", "from application.core.payments.top_up import TopUp"),
        # 5: by their full names
        ("src/domain/core/kernel/money.py", "from .errors import Invalid"),
        ("src/interface/bootstrap/asgi.py", "from . import container"),
    ],
)
def test_each_rule_catches_a_planted_violation(path: str, line: str) -> None:
    assert len(violations(path, line)) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("src/domain/core/kernel/money.py", "from decimal import Decimal"),
        ("src/domain/core/payments/intent.py", "from domain.core.ledger.accounts import AccountRef"),
        ("src/domain/assignments/escrow.py", "from domain.core.ledger.transfer import Transfer"),
        ("src/application/assignments/buy_plan.py", "from application.core.payments.start_payment import StartPayment"),
        ("src/application/core/notifications/on_payment.py", "from domain.core.payments.events import PaymentFailed"),
        ("src/application/core/files/open_file.py", "from application.core.identity.authenticate import Caller"),
        ("src/infrastructure/lipana/gateway.py", "from domain.core.payments.gateway import Answer"),
        ("src/infrastructure/lipana/gateway.py", "import httpx"),
        ("src/infrastructure/postgres/core/unit_of_work.py", "from infrastructure.postgres.core import payments"),
        ("src/infrastructure/postgres/assignments/tables.py", "from infrastructure.postgres.core import ledger_tables"),
        ("src/interface/http/assignments/writers.py", "from interface.http.core.files import FileBody"),
        ("src/interface/http/uploads.py", "from application.core.files.receive_files import UploadLimits"),
        ("src/interface/bootstrap/asgi.py", "from infrastructure.postgres.database import Database"),
    ],
)
def test_what_must_stay_allowed_is_allowed(path: str, line: str) -> None:
    assert violations(path, line) == []
