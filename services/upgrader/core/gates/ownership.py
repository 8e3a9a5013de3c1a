"""Does one tool own the installation, and is it the one that this run uses?"""

from services.upgrader.core.gates.verdict import Context, Finding, Verdict, failed, inconclusive, passed
from steward.linkerd.ownership import Mixture, Ownership


def judge(seen: Ownership, context: Context) -> Verdict:
    """A mixed installation is refused with the evidence: the wrong tool would break what the other one keeps."""
    if seen.mixture is Mixture.MIXED:
        message = f"more than one tool left its marks: {seen.message}. Let one of them own all of it, then start again"
        return failed("MixedOwnership", (Finding("mixed", message),))
    if seen.method is None:
        return inconclusive("OwnerUnknown", f"{seen.message}: it cannot be told which tool has to upgrade it")
    if seen.method is not context.method:
        message = (
            f"the run was planned for {context.method}, and the installation belongs to {seen.method}: {seen.message}"
        )
        return failed("OwnerChanged", (Finding(f"owner/{seen.method}", message),))
    return passed("OneOwner", f"the installation belongs to {seen.label}")
