"""A new AlertPolicy or AlertChannel: printed, or applied, and then what alerting says of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, TypeVar, cast

import typer
from pydantic import ValidationError

from steward.cli.alerts.objects import Word, channel_word, policy_word
from steward.cli.connection import cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal, first_problem
from steward.cli.kubeconfig import choose
from steward.cli.options import Session
from steward.cli.output import Format, document, note, write
from steward.errors import ConfigurationError
from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.resources import ALERT_CHANNELS, ALERT_POLICIES, SERVICES
from steward.kube.resources import Resource as Handle
from steward.resources import AlertChannel, AlertPolicy
from steward.resources.alert_channel import AlertChannelSpec
from steward.resources.alert_policy import AlertPolicySpec, TargetKind
from steward.resources.base import API_VERSION, Model

M = TypeVar("M", bound=Model)

_ANSWERED_WITHIN = timedelta(seconds=30)
_AGAIN_AFTER = timedelta(milliseconds=500)
_UNNAMED = "default"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Manner:
    """Where the object goes, and whether it does."""

    name: Annotated[str, typer.Option("--name", help="Name of the object; made up where none is given.")] = ""
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Its namespace; that of the context.", metavar="NAME")
    ] = ""
    apply: Annotated[
        bool, typer.Option("--apply", help="Apply it, and wait for what alerting says of it, instead of printing it.")
    ] = False
    output: Annotated[
        Format, typer.Option("--output", "-o", help="How to print it.", case_sensitive=False, metavar="yaml|json")
    ] = Format.YAML


def part(kind: type[M], /, **given: object) -> M:
    """A part of an object from what was said on the command line; what is empty was not said.

    Raise Refusal where it does not fit.
    """
    said = {name: value for name, value in given.items() if value not in ("", None, (), {})}
    try:
        return cast("Callable[..., M]", kind)(**said)
    except ValidationError as error:
        raise Refusal(
            f"no {kind.__name__} can be made of this: {first_problem(error)}", "correct the flag", ExitCode.USAGE
        ) from error


async def make_policy(session: Session, spec: AlertPolicySpec, manner: Manner, name: str) -> ExitCode:
    """Print or apply a policy."""
    namespace = namespace_of(session, manner.namespace)
    body = _object(AlertPolicy.kind_name, Place(namespace, manner.name or name), spec)
    if not manner.apply:
        return _print(body, manner.output)
    async with cluster(session) as kube:
        for target in spec.targets:
            if target.kind is TargetKind.SERVICE:
                await _known(kube, target.name, namespace)
        await kube.apply(ALERT_POLICIES, body)
        return await _answered(kube, ALERT_POLICIES, body, lambda raw: policy_word(AlertPolicy.of(raw)))


async def make_channel(session: Session, spec: AlertChannelSpec, manner: Manner, name: str) -> ExitCode:
    """Print or apply a channel."""
    namespace = namespace_of(session, manner.namespace)
    place = Place(namespace, manner.name or name)
    body = _object(AlertChannel.kind_name, place, spec)
    if not manner.apply:
        return _print(body, manner.output)
    async with cluster(session) as kube:
        await kube.apply(ALERT_CHANNELS, body)
        code = await _answered(kube, ALERT_CHANNELS, body, lambda raw: channel_word(AlertChannel.of(raw)))
    if code is ExitCode.OK:
        note(f"hint: try it with: linkerd steward alerts test {place.name} -n {namespace}")
    return code


def policy_object(policy: AlertPolicy) -> JsonObject:
    """A policy as the API server takes it."""
    return _object(AlertPolicy.kind_name, Place(policy.metadata.namespace, policy.metadata.name), policy.spec)


def namespace_of(session: Session, named: str) -> str:
    """The namespace that is meant, as kubectl finds it: the one that is named, that of the context, `default`."""
    if named:
        return named
    flags = session.flags
    try:
        return choose(flags.kubeconfig, flags.context, session.environment).namespace or _UNNAMED
    except ConfigurationError:
        # What is only printed needs no cluster; applying it will say what is wrong.
        return _UNNAMED


def _object(kind: str, place: Place, spec: Model) -> JsonObject:
    fields = type(spec).model_fields
    # What was chosen is written, also where it is the default; but of the whole only what differs.
    usual = {
        name for name, field in fields.items() if getattr(spec, name) == field.get_default(call_default_factory=True)
    }
    said: JsonObject = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True, exclude=usual)
    metadata: JsonObject = {"name": place.name, "namespace": place.namespace}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": said}


def _print(body: JsonObject, output: Format) -> ExitCode:
    write(document(body, Format.JSON if output is Format.JSON else Format.YAML))
    note("hint: apply it with --apply, or with: | kubectl apply -f -")
    return ExitCode.OK


async def _answered(kube: Kube, handle: Handle, body: JsonObject, word_of: Callable[[JsonObject], Word]) -> ExitCode:
    """Wait for what alerting says of the object as it was applied."""
    namespace, name = text(body, "metadata", "namespace"), text(body, "metadata", "name")
    what = f"{handle.kind} '{namespace}/{name}'"
    note(f"{what} is applied; waiting for alerting")
    word = Word("waiting")
    try:
        async with asyncio.timeout(_ANSWERED_WITHIN.total_seconds()):
            while not word.final:
                word = word_of(await kube.get(handle, name, namespace))
                if not word.final:
                    await kube.clock.sleep(_AGAIN_AFTER)
    except TimeoutError:
        note(f"{what}: {word.message or word.state}")
        note("hint: linkerd steward alerts status shows whether alerting and its Prometheus answer")
        return ExitCode.NEEDS_ATTENTION
    note(f"{what}: {word.state}" + (f": {word.message}" if word.message else ""))
    return ExitCode.FAILED if word.trouble else ExitCode.OK


async def _known(kube: Kube, service: str, namespace: str) -> None:
    if await kube.find(SERVICES, service, namespace) is None:
        raise Refusal(
            f"there is no Service '{namespace}/{service}' to set an objective for",
            f"kubectl -n {namespace} get services; or name its namespace with -n",
            ExitCode.NOT_FOUND,
        )
