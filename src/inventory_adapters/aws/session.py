"""The one place where an AWS client is made."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.session import Session

__all__ = ["make_client"]

# Whom the SDK asks on its own account, where a profile says so.
_CREDENTIAL_SERVICES: Final = frozenset({"signin", "sso", "sso-oidc", "sts"})


def make_client(  # noqa: PLR0913 - a client has that many settings
    service: str,
    *,
    connect_timeout: float,
    read_timeout: float,
    attempts: int,
    endpoint_url: str | None = None,
    region: str | None = None,
    parameter_validation: bool = False,
) -> "BaseClient":
    """
    Return a low-level client, sharable between threads.

    Args:
        service: As botocore calls it.
        connect_timeout: Seconds that a connection may take.
        read_timeout: Seconds that an answer may be silent.
        attempts: How often a call is sent at most, when it fails in a way that may pass.
        endpoint_url: Where the service is; None for what AWS_ENDPOINT_URL_<SERVICE>, the profile or the region say.
        region: Its region; None for what AWS_DEFAULT_REGION or the profile say.
        parameter_validation: Whether the SDK checks what it is passed; for tests, as our adapters pass what fits.
    """
    # Imported here: whoever brings a client of their own does not pay for this one.
    import encodings.idna  # noqa: F401, PLC0415 - else the SDK imports it in the middle of its first call

    import botocore  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
        parameter_validation=parameter_validation,
        # A fixed text: assembling the usual one costs a quarter of a call, each time.
        user_agent=f"tap-inventory botocore/{botocore.__version__}",
    )
    return _session().create_client(
        service, region_name=region, endpoint_url=endpoint_url, config=config
    )


def _session() -> "Session":
    """
    Return a session without the handlers that the SDK has for every service there is.

    Registering them is two fifths of what a client takes to make; the few that are not for one service alone are asked in every
    call, and do nothing that our services need: no operation of theirs has a signer of its own, and we bring our own tokens.
    What is for the services that credentials come from stays; so does what others added, for tracing or to stand in for AWS.
    """
    from botocore.handlers import BUILTIN_HANDLERS  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    session = Session(include_builtin_handlers=False)
    for event, handler, *_ in BUILTIN_HANDLERS:
        is_of_others = not handler.__module__.startswith("botocore.")
        if is_of_others or not _CREDENTIAL_SERVICES.isdisjoint(event.split(".")):
            session.register(event, handler)
    return session
