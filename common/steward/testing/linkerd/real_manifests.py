"""Manifests that Linkerd itself rendered, completed with certificates and values of our own.

Such files carry placeholders where secrets were; what is put there here are the same things the charts would.
"""

from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from hashlib import sha256
from pathlib import Path

from steward.jsonvalue import Json, JsonObject, rows, table, text
from steward.testing.linkerd.certificates import Pair
from steward.testing.linkerd.deployments import COMPONENTS
from steward.testing.linkerd.manifests import ISSUER_SECRET, OVERRIDES_SECRET
from steward.testing.linkerd.proxy import TRUST_ROOTS
from steward.testing.linkerd.release import Release
from steward.testing.linkerd.values import Installation, dump, load, load_all, merged
from steward.testing.linkerd.webhooks import WEBHOOKS

MakePair = Callable[[str], Pair]


def read_manifests(directory: str | Path, release: Release, name: str) -> list[JsonObject]:
    """The objects of `directory/<version>/<name>.yaml`."""
    return load_all((Path(directory) / release.version / f"{name}.yaml").read_text(encoding="utf-8"))


def filled(objects: list[JsonObject], installation: Installation, make_pair: MakePair) -> list[JsonObject]:
    """Copies of `objects` with the installation's trust, fresh webhook certificates and its values.

    Values that change objects other than ConfigMaps and Secrets have no effect: the objects are rendered already.
    """
    copies = [deepcopy(one) for one in objects]
    named = {(text(one, "kind"), text(one, "metadata", "name")): one for one in copies}
    checksums: dict[str, str] = {}
    for webhook in WEBHOOKS:
        pair = make_pair(webhook.service)
        certificate = named["Secret", webhook.secret]
        certificate["data"] = _encoded({"tls.crt": pair.certificate, "tls.key": pair.key})
        for entry in rows(named[webhook.kind, webhook.configuration], "webhooks"):
            table(entry, "clientConfig")["caBundle"] = b64encode(pair.certificate.encode()).decode()
        checksums[webhook.component] = checksums.get(webhook.component, "") + pair.certificate
    trust = installation.trust
    table(named["ConfigMap", TRUST_ROOTS], "data")["ca-bundle.crt"] = trust.anchors
    named["Secret", ISSUER_SECRET]["data"] = _encoded(
        {"crt.pem": trust.issuer.certificate, "key.pem": trust.issuer.key}
    )
    _fill_values(named, installation)
    for component in COMPONENTS:
        template = table(named["Deployment", f"linkerd-{component.name}"], "spec", "template", "metadata")
        annotations = table(template, "annotations")
        annotations["linkerd.io/trust-root-sha256"] = trust.digest
        if component.checksum:
            annotations["checksum/config"] = sha256(checksums[component.name].encode()).hexdigest()
    return copies


def _fill_values(named: dict[tuple[str, str], JsonObject], installation: Installation) -> None:
    config = table(named["ConfigMap", "linkerd-config"], "data")
    rendered = load(text(config, "values"))
    values = merged(rendered, installation.changed)
    values["identityTrustAnchorsPEM"] = installation.trust.anchors
    issuer = table(values, "identity", "issuer", "tls")
    issuer["crtPEM"] = installation.trust.issuer.certificate
    issuer.pop("keyPEM", None)
    config["values"] = dump(values)
    overrides = named.get(("Secret", OVERRIDES_SECRET))
    if overrides is not None:
        overrides["data"] = _encoded({OVERRIDES_SECRET: installation.stored_overrides})


def _encoded(data: dict[str, str]) -> dict[str, Json]:
    return {key: b64encode(value.encode()).decode() for key, value in data.items()}
