"""The way that was chosen, put together: what renders, what carries, what is waited for."""

from collections.abc import Mapping
from pathlib import Path

from services.alerting.core.adoption import Contents
from services.alerting.core.channel_units import as_objects as channels_as_objects
from services.alerting.core.channel_units import channel_unit, configuration, own_content, own_unit
from services.alerting.core.delivery import Chosen, Delivery
from services.alerting.core.writing import as_file
from services.alerting.core.writing import as_objects as rules_as_objects
from services.alerting.edges.file_routes import SUFFIX as ROUTE_SUFFIX
from services.alerting.edges.file_routes import FileRoutes
from services.alerting.edges.file_rules import SUFFIX as RULE_SUFFIX
from services.alerting.edges.file_rules import FileRules
from services.alerting.edges.folder import Folder
from services.alerting.edges.objects import Objects
from services.alerting.edges.operator_kinds import ALERTMANAGER_CONFIGS, PROMETHEUS_RULES
from services.alerting.edges.operator_objects import OperatorObjects
from services.alerting.edges.secrets import ChannelSecrets
from services.alerting.edges.watched import Watched
from services.alerting.edges.webhook import PATH
from services.alerting.engine.adopting import Adopting
from services.alerting.engine.applying import Carriers, Means, OwnRoutes
from services.alerting.engine.awaiting import Awaiting, route_loader, rule_loader
from services.alerting.engine.looking import Looking, Sighting
from services.alerting.engine.rendering import RenderingChannels, RenderingRules
from services.alerting.settings import AlertingGroup
from steward.alerting.channels.secrets import SUFFIX as SECRET_SUFFIX
from steward.alerting.channels.target import OWN, OwnWebhook, Target
from steward.alerting.inhibition import severe_mutes_lesser
from steward.alerting.pack import inhibitions
from steward.kube.client import Kube
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.prometheus import Prometheus
from steward.resources.alert_channel import SecretRef


class Ways:
    """What there is to build the means from."""

    def __init__(
        self,
        kube: Kube,
        group: AlertingGroup,
        home: str,
        chosen: Chosen,
        clients: tuple[Prometheus | None, Alertmanager | None],
    ) -> None:
        self._kube = kube
        self._group = group
        self._home = home
        self._chosen = chosen
        self._prometheus, self._alertmanager = clients

    def means(self, watched: Watched, looking: Looking) -> Means:
        """For what is watched, and what `looking` sees."""
        by_operator = self._chosen.by is Delivery.OPERATOR
        labels = self._group.operator
        rules = RenderingRules(
            watched,
            self._prometheus,
            self._home,
            self._group.runbooks,
            write=rules_as_objects(labels.rule_labels) if by_operator else as_file,
        )
        channels = RenderingChannels(
            watched,
            self._target(),
            self._secrets(),
            write=channels_as_objects(labels.channel_labels) if by_operator else channel_unit,
        )
        return Means(
            carriers=self._objects(channels) if by_operator else self._files(channels, looking),
            render_rules=rules,
            render_channels=channels,
            present=looking.present,
            unreadable=watched.unreadable,
            secrets_moved=channels.secrets_moved,
            objects=Objects(self._kube),
            delivery=self._chosen.by.value if self._chosen.by else "Nothing",
            missing=self._chosen.message,
        )

    def _objects(self, channels: RenderingChannels) -> Carriers:
        group, clock = self._group, self._kube.clock
        rule_labels, channel_labels = group.operator.rule_labels, group.operator.channel_labels

        def own(seen: Sighting) -> str | None:
            return own_content(channels.target(seen), channel_labels)

        prometheus = rule_loader(_said(rule_labels), asked=self._prometheus is not None)
        alertmanager = route_loader(_said(channel_labels), asked=self._alertmanager is not None)
        return Carriers(
            rules=Adopting(OperatorObjects(self._kube, PROMETHEUS_RULES), others_write=True),
            routes=Adopting(OperatorObjects(self._kube, ALERTMANAGER_CONFIGS), others_write=True),
            rules_awaited=Awaiting(clock, prometheus, group.tempo.load),
            routes_awaited=Awaiting(clock, alertmanager, group.tempo.load),
            own=OwnRoutes(own_unit(self._home), f"{ALERTMANAGER_CONFIGS.kind}/{self._home}/{OWN}", own),
        )

    def _files(self, channels: RenderingChannels, looking: Looking) -> Carriers:
        files, prometheus, alertmanager = self._group.files, self._prometheus, self._alertmanager
        if self._chosen.by is not Delivery.FILES or prometheus is None or alertmanager is None:
            return Carriers()
        if files.rules is None or files.alertmanager is None or files.good is None:
            return Carriers()

        def rendering(contents: Contents) -> str:
            return configuration(contents, channels.target(looking.seen))

        routes = FileRoutes(
            Folder(files.alertmanager, ".yml"), Folder(files.good / "channels", ROUTE_SUFFIX), alertmanager, rendering
        )
        live, kept = Folder(files.rules, RULE_SUFFIX), Folder(files.good / "rules", RULE_SUFFIX)
        return Carriers(Adopting(FileRules(live, kept, prometheus)), Adopting(routes))

    def _secrets(self) -> ChannelSecrets | None:
        """With the operator nobody lays them out: it reads them itself."""
        folder = self._group.files.secrets
        if folder is None or self._chosen.by is not Delivery.FILES:
            return None
        return ChannelSecrets(Objects(self._kube), Folder(folder, SECRET_SUFFIX, secret=True))

    def _target(self) -> Target:
        secrets = self._group.files.secrets or Path("/etc/linkerd-steward/secrets")
        return Target(
            home=self._home, secrets=str(secrets), own=self._own(), inhibitions=(severe_mutes_lesser(), *inhibitions())
        )

    def _own(self) -> OwnWebhook | None:
        """The operator's Alertmanager is in another pod, which cannot reach our loopback address."""
        webhook, operator = self._group.webhook, self._group.operator
        if self._chosen.by is not Delivery.OPERATOR:
            url = webhook.url or f"http://{webhook.address}:{webhook.port}{PATH}"
            return OwnWebhook(url, token_file=str(webhook.token_file or ""))
        if not webhook.url:
            return None
        token = SecretRef(name=operator.token_secret, key=operator.token_key) if operator.token_secret else None
        return OwnWebhook(webhook.url, token=token)


def _said(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "that are ours anyway"
