"""What a recording could not take in, for the user."""

from __future__ import annotations

from .drain import Drain


def omissions(drain: Drain) -> list[str]:
    """Notices; ask after `drain` has finished."""
    missing = {
        "child processes are missing: too many at once": drain.unfollowed,
        "ends of threads were not noted, too many at once: ids that came again may be taken for the same": (
            drain.unnoted
        ),
        "starts or ends of processes and threads were not seen: the kernel ran no program for them": (
            drain.missed.tasks
        ),
    }
    return [f"{count:,} {what}" for what, count in missing.items() if count]
