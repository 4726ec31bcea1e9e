"""Who may do what: one row for each operation of the API document, one cell for each actor and each kind of target.

Targets are `own`, `other` (another's) and `none` (an id that nothing has); an operation without a target has one cell,
`any`. A cell says what an actor meets: YES (it is done, or refused for another reason than who he is), or the status
of the denial. A dash says that the actor can own nothing of the kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass

YES, UNSIGNED, FORBIDDEN, HIDDEN, NOTHING = "yes", "401", "403", "404", "-"
TARGETS = ("own", "other", "none")
PEOPLE = ("member", "student", "writer", "client", "worker", "admin")


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of an operation, by actor and target; `kind` is what its targets are."""

    cells: Mapping[str, Mapping[str, str]]
    kind: str | None = None


def everybody() -> Row:
    return Row({actor: {"any": YES} for actor in ("anonymous", *PEOPLE)})


def by_signature() -> Row:
    """Who signs is let in, whoever is signed in or not; the matrix sends no signature."""
    return Row({actor: {"any": UNSIGNED} for actor in ("anonymous", *PEOPLE)})


def signed_in() -> Row:
    return Row({"anonymous": {"any": UNSIGNED}, **{actor: {"any": YES} for actor in PEOPLE}})


def only(*roles: str, others: str = FORBIDDEN) -> Row:
    cells = {actor: {"any": YES if actor in roles else others} for actor in PEOPLE}
    return Row({"anonymous": {"any": UNSIGNED}, **cells})


def on(kind: str, words: str = "403 403 403", **of: str) -> Row:
    """Return a row with targets: for everybody, and for those named, what is met at `own other none`."""
    cells = {actor: of.get(actor, words) for actor in PEOPLE} | {"anonymous": of.get("anonymous", "- 401 401")}
    return Row({actor: dict(zip(TARGETS, said.split(), strict=True)) for actor, said in cells.items()}, kind)


MATRIX: Mapping[str, Row] = {
    # sign-in and accounts
    "register": everybody(),
    "registerMember": everybody(),
    "registerStudent": everybody(),
    "signUp": everybody(),
    "logIn": everybody(),
    "logInAsAdministrator": everybody(),
    "refreshTokens": everybody(),
    "logOut": everybody(),
    "askPasswordReset": everybody(),
    "confirmPasswordReset": everybody(),
    "verifyEmail": everybody(),
    "verifyPhone": signed_in(),
    "resendCode": signed_in(),
    "changePassword": signed_in(),
    "listDevices": signed_in(),
    "endDevice": on("device", "yes 404 404"),
    "endOtherDevices": signed_in(),
    "finishLogIn": by_signature(),
    "beginSecondFactor": signed_in(),
    "confirmSecondFactor": signed_in(),
    "disableSecondFactor": signed_in(),
    "renewRecoveryCodes": signed_in(),
    "stepUp": signed_in(),
    "issueSocketTicket": signed_in(),
    "getMe": signed_in(),
    "getMember": signed_in(),
    "editMember": signed_in(),
    "getProfile": signed_in(),
    "editProfile": signed_in(),
    "chooseRole": signed_in(),
    "listUsers": signed_in(),
    "getUser": on("person", "yes yes 404"),
    "editUser": on("person", "yes 403 403", admin="yes yes 404"),
    "blockUser": on("person", "yes yes 404"),
    "listBlockedUsers": signed_in(),
    "unblockUser": on("person", "404 404 404"),
    # the gigs market
    "listServiceCategories": everybody(),
    "addServiceCategory": only("admin"),
    "listServices": everybody(),
    "listService": only("worker"),
    "getService": on("service", "- yes 404", worker="yes yes 404", anonymous="- yes 404"),
    "editService": on("service", "403 403 404", worker="yes 403 404", admin="- yes 404"),
    "deactivateService": on("service", "403 403 404", worker="yes 403 404", admin="- yes 404"),
    "listWorkers": everybody(),
    "getWorker": on("worker", "- yes 404", worker="yes yes 404", anonymous="- yes 404"),
    "getWorkerProfile": only("worker"),
    "editWorkerProfile": only("worker"),
    "listOrders": only("client", "worker", "admin"),
    "placeOrder": on("service", client="- yes 404"),
    "getOrder": on("order_held", client="yes 404 404", worker="yes 404 404", admin="- yes 404"),
    "editOrder": on("order_unpaid", client="yes 404 404", worker="404 404 404", admin="- yes 404"),
    "assignWorker": on("order_open", worker="yes 403 404", admin="- yes 404"),
    "acceptOffer": on("order_offered", worker="yes 404 404"),
    "declineOffer": on("order_offered", worker="yes 404 404"),
    "startWork": on("order_held", worker="yes 404 404"),
    "deliverWork": on("order_held", worker="yes 404 404"),
    "withdrawFromOrder": on("order_held", worker="yes 404 404"),
    "acceptDelivery": on("order_held", client="yes 404 404"),
    "requestChanges": on("order_delivered", client="yes 404 404"),
    "cancelOrder": on("order_held", client="yes 404 404", admin="- yes 404"),
    "changeOrderStatus": on("order_held", client="yes 404 404", worker="yes 404 404", admin="- yes 404"),
    "reviewOrder": on("order_done", client="yes 404 404"),
    "payOrder": on("order_unpaid", client="yes 404 404"),
    # the assignment market
    "postTask": only("student"),
    "listTasks": only("student", "admin"),
    "listMyTasks": only("student"),
    "getTask": on("task_held", "- 404 404", student="yes 404 404", writer="yes 404 404", admin="- yes 404"),
    "editTask": on("task_pending", student="yes 404 404"),
    "cancelTask": on("task_pending", student="yes 404 404"),
    "listAvailableTasks": only("writer"),
    "listClaimedTasks": only("writer"),
    "claimTask": on("task_open", writer="- yes 404"),
    "returnClaim": on("task_held", writer="yes 403 404"),
    "submitWork": on("task_held", writer="yes 403 404"),
    "listSubmissions": signed_in(),
    "getSubmission": on("submission", "- 404 404", student="yes 404 404", writer="yes 404 404", admin="- yes 404"),
    "buyPlan": only("writer"),
    "getPlan": only("writer"),
    "getMyRating": only("writer", others=HIDDEN),
    # money
    "getWallet": signed_in(),
    "listWalletEntries": signed_in(),
    "getEarnings": only("writer", "worker"),
    "topUpWallet": signed_in(),
    "getTransactionStatus": on("payment", "yes 404 404", admin="yes yes 404"),
    "listPayments": signed_in(),
    "getPayment": on("intent", "yes 404 404", admin="yes yes 404"),
    "refundPayment": on("intent", "403 403 403", admin="403 yes 404"),
    "receiveDarajaCallback": by_signature(),
    "receiveLipanaCallback": by_signature(),
    "receivePayPalCallback": by_signature(),
    "receiveStripeCallback": by_signature(),
    "receivePaymentCallback": by_signature(),
    "listWithdrawals": signed_in(),
    "requestWithdrawal": signed_in(),
    "cancelWithdrawal": on("withdrawal", "yes 404 404"),
    # notifications and files
    "listNotifications": signed_in(),
    "readNotification": on("notice", "yes 404 404"),
    "readAllNotifications": signed_in(),
    "getNotificationPreferences": signed_in(),
    "setNotificationPreferences": signed_in(),
    "downloadFile": on("file", "- 404 404", student="yes 404 404", admin="- yes 404"),
    "linkToFile": on("file", "- 404 404", student="yes 404 404", admin="- yes 404"),
    "beginUpload": signed_in(),
    "confirmUpload": on("upload", "yes 404 404"),
    "sendUpload": everybody(),  # the signature is asked for as a parameter, and proves one upload
    # administration
    "listUsersAsAdministrator": only("admin"),
    "administerUser": on("person", admin="yes yes 404"),
    "registerAdministrator": only("admin"),
    "listAllTasks": only("admin"),
    "approveTask": on("task_pending", admin="- yes 404"),
    "rejectTask": on("task_pending", admin="- yes 404"),
    "cancelTaskAsAdmin": on("task_held", admin="- yes 404"),
    "listAllSubmissions": only("admin"),
    "approveSubmission": on("submission", admin="- yes 404"),
    "rejectSubmission": on("submission", admin="- yes 404"),
    "releasePayment": on("task_done", admin="- yes 404"),
    "listWithdrawalsForReview": only("admin"),
    "decideWithdrawal": on("withdrawal", admin="403 yes 404"),
    "listPaymentCases": only("admin"),
    "scriptSimulator": only("admin"),
    "deliverSimulated": on("simulated", admin="- yes 404"),
    "resolvePaymentCase": on("case", admin="- yes 404"),
    "getDailyReport": only("admin"),
    "fundOperatingAccount": only("admin"),
    "proveLedger": only("admin"),
    "listAudit": only("admin"),
    "listJobs": only("admin"),
    "replayDeadLetter": on("dead_letter", admin="- yes 404"),
    "runJob": on("job", admin="- yes 404"),
    "listPolicies": only("admin"),
    "changePolicy": on("policy", admin="- yes 404"),
    # the server itself
    "adminPage": everybody(),
    "readLiveness": everybody(),
    "readReadiness": everybody(),
    "readMetrics": everybody(),
}
"""Rows by the id of the operation; further paths and methods of one handler share its row."""

MORE: Mapping[str, tuple[Row, ...]] = {
    "getOrder": (
        on("order_unpaid", client="yes 404 404", worker="404 404 404", admin="- yes 404"),
        on("order_open", client="yes 404 404", worker="yes 404 404", admin="- yes 404"),
        on("order_offered", client="yes 404 404", worker="yes 404 404", admin="- yes 404"),
    ),
    "editOrder": (
        on("order_open", client="yes 404 404", worker="403 404 404", admin="- yes 404"),
        on("order_held", client="yes 404 404", worker="403 404 404", admin="- yes 404"),
    ),
    "assignWorker": (on("order_held", worker="yes 403 404", admin="- yes 404"),),
    "acceptOffer": (on("order_open", worker="yes 404 404"),),
    "startWork": (on("order_open", worker="yes 404 404"), on("order_done", worker="yes 404 404")),
    "changeOrderStatus": (
        on("order_unpaid", client="yes 404 404", worker="404 404 404", admin="- yes 404"),
        on("order_open", client="yes 404 404", worker="yes 404 404", admin="- yes 404"),
        on("order_offered", client="yes 404 404", worker="yes 404 404", admin="- yes 404"),
    ),
    "cancelOrder": (on("order_unpaid", client="yes 404 404", admin="- yes 404"),),
    "reviewOrder": (on("order_held", client="yes 404 404"),),
    "getPayment": (on("order_payment", "- 404 404", client="yes 404 404", worker="404 404 404", admin="- yes 404"),),
    "refundPayment": (on("order_payment", admin="- yes 404"),),
    "downloadFile": (on("delivered_file", "- 404 404", client="yes 404 404", worker="yes 404 404", admin="- yes 404"),),
    "linkToFile": (on("delivered_file", "- 404 404", client="yes 404 404", worker="yes 404 404", admin="- yes 404"),),
}
"""Further rows of an operation, about things in another state: orders show themselves to others while they are open."""


def rows_of(name: str) -> tuple[Row, ...]:
    """Return all rows of an operation."""
    return (MATRIX[name], *MORE.get(name, ()))
