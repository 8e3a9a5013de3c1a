"""Access reviews."""

from steward.kube.resources import DEPLOYMENTS, PODS
from tests.contracts.kubernetes.subject import Subject


async def test_the_administrator_may_do_everything(subject: Subject) -> None:
    assert await subject.kube.access("create", PODS, subject.namespace)
    assert await subject.kube.access("patch", DEPLOYMENTS)
    assert await subject.kube.access("create", PODS, subject.namespace, subresource="eviction")
