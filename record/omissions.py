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
        "calls were lost, more at a time than a filter can keep track of": drain.filtered.untracked,
        "calls returned that --min-duration could not judge: they began before the recording, or a switch of "
        "stacks made them look as if they had been left": drain.filtered.unknown,
    }
    return [f"{count:,} {what}" for what, count in missing.items() if count]
