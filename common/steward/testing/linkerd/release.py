"""What differs from one Linkerd release to the next, as far as a stand-in must know."""

from dataclasses import dataclass

from steward.linkerd.version import Version

REGISTRY = "cr.l5d.io/linkerd"
INIT_IMAGE_BEFORE_MERGE = f"{REGISTRY}/proxy-init:v2.4.3"

_NATIVE_SIDECARS_BY_DEFAULT = Version("edge", (26, 5, 2))
_INIT_INSIDE_PROXY_IMAGE = Version("edge", (25, 11, 3))
_ENVIRONMENT_BY_ANNOTATION = Version("edge", (26, 6, 1))
_KUBERNETES_1_31 = Version("edge", (26, 5, 1))
_PORTS_NAMED_BY_COMPONENT = Version("edge", (25, 6, 3))
_CHECKS_GATEWAY_API = Version("edge", (26, 7, 1))


@dataclass(frozen=True, slots=True)
class Release:
    """One edge release of Linkerd and the traits by which its objects and answers differ from other releases'."""

    version: str

    @property
    def parsed(self) -> Version:
        """The version with its order."""
        return Version.parse(self.version)

    @property
    def number(self) -> str:
        """The version without its channel, `26.8.3`."""
        return self.parsed.number

    @property
    def chart(self) -> str:
        """The version of the Helm charts, `2026.8.3`."""
        return self.parsed.chart or f"0.0.0-{self.parsed.number}"

    @property
    def native_sidecars(self) -> bool:
        """Whether the proxy is a native sidecar unless somebody asks otherwise."""
        return self.parsed >= _NATIVE_SIDECARS_BY_DEFAULT

    @property
    def environment_by_annotation(self) -> bool:
        """Whether the injector knows `config.linkerd.io/proxy-additional-env`; before, only values add variables."""
        return self.parsed >= _ENVIRONMENT_BY_ANNOTATION

    @property
    def init_inside_proxy_image(self) -> bool:
        """Whether `linkerd-init` runs from the proxy's image; before, it had an image of its own."""
        return self.parsed >= _INIT_INSIDE_PROXY_IMAGE

    @property
    def ports_named_by_component(self) -> bool:
        """Whether a controller's ports are `dest-grpc` and `dest-admin`; before, they were `grpc` and `admin-http`."""
        return self.parsed >= _PORTS_NAMED_BY_COMPONENT

    @property
    def checks_gateway_api(self) -> bool:
        """Whether `linkerd check` has the category `gateway-api-crd`."""
        return self.parsed >= _CHECKS_GATEWAY_API

    @property
    def minimum_kubernetes(self) -> tuple[int, int, int]:
        """The oldest Kubernetes that the charts and the CLI accept."""
        return (1, 31, 0) if self.parsed >= _KUBERNETES_1_31 else (1, 23, 0)

    def init_image(self, proxy_image: str) -> str:
        """The image of `linkerd-init` beside a proxy of `proxy_image`."""
        return proxy_image if self.init_inside_proxy_image else INIT_IMAGE_BEFORE_MERGE
