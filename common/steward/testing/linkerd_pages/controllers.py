"""The page of one controller that is well, as its container shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from steward.alerting.families import Exposer, catalogue
from steward.linkerd.version import Version
from steward.testing.linkerd_pages.page import rendered
from steward.testing.linkerd_pages.portrait import PORTRAITS, Container, at_rest, is_shown


@dataclass(frozen=True, slots=True)
class Controller:
    """A container of the control plane, and since when it runs."""

    component: str
    """The container's name: `destination`, `sp-validator`, `policy`, `identity` or `proxy-injector`."""
    pod: str
    version: Version
    born: datetime


def page_of(controller: Controller, now: datetime, exports: Callable[[str], bool] = lambda _family: True) -> str:
    """What the catalogue says that its version shows, without families that it does not export."""
    known, exposer = catalogue(), Exposer(controller.component)
    edge = known.edge(controller.version)
    born, moment = controller.born.timestamp(), now.timestamp()
    container = Container(exposer, "linkerd", controller.pod, "", controller.component, str(edge), born)
    return "".join(
        rendered(family, PORTRAITS.get(family.name, at_rest)(container, family, moment), moment - born)
        for family in known.families.values()
        if is_shown(family, exposer, edge) and exports(family.name)
    )
