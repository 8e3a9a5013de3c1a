"""`alerts openslo`: objectives read from OpenSLO, and written as OpenSLO."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from steward.alerting.openslo.documents import API_VERSION, Lost
from steward.alerting.openslo.reading import policies_from_openslo
from steward.alerting.openslo.writing import openslo_of
from steward.cli.alerts.completing import policy_names
from steward.cli.alerts.documents import Files, read_as, read_documents
from steward.cli.alerts.making import namespace_of, policy_object
from steward.cli.alerts.objects import all_policies
from steward.cli.connection import cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Session, leaf, remember
from steward.cli.output import Format, document, note, write
from steward.jsonvalue import Json, JsonObject, text
from steward.kube.resources import ALERT_POLICIES
from steward.resources import AlertPolicy

app = typer.Typer(
    no_args_is_help=True,
    help="Read objectives from OpenSLO, and write them as OpenSLO (openslo/v1).\n\n"
    "Example: linkerd steward alerts openslo export web -n shop",
)
app.callback()(remember)

Documents = Annotated[
    Format, typer.Option("--output", "-o", help="How to write it.", case_sensitive=False, metavar="yaml|json")
]


@dataclass(frozen=True, slots=True)
class Whence:
    """Which files, and where what is in them belongs."""

    file: Files = None
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Of what names none; that of the context.", metavar="NAME")
    ] = ""


@app.command("import")
@leaf
async def read(
    session: Session,
    whence: Whence,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Apply the policies instead of printing them.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 where anything is not carried over.")] = False,
    output: Documents = Format.YAML,
) -> ExitCode:
    """Read documents of OpenSLO as AlertPolicies; what has no place in one is named, member by member.

    Example: linkerd steward alerts openslo import -f slo.yaml -n shop --apply
    """
    if not whence.file:
        raise Refusal("there is nothing to read", "name files with -f FILE; - is stdin", ExitCode.USAGE)
    namespace = namespace_of(session, whence.namespace)
    given = [each for each in read_documents(whence.file, "") if each.openslo]
    if not given:
        raise Refusal(f"the files hold no document of {API_VERSION}", "name others with -f FILE", ExitCode.USAGE)
    found = policies_from_openslo([each.content for each in given], namespace)
    _tell(found.lost)
    if not found.policies:
        raise Refusal("no objective can be carried over", "each line above says why")
    bodies = [policy_object(each) for each in found.policies]
    if apply:
        async with cluster(session) as kube:
            for body in bodies:
                await kube.apply(ALERT_POLICIES, body)
                note(f"AlertPolicy '{text(body, 'metadata', 'namespace')}/{text(body, 'metadata', 'name')}' is applied")
        note("hint: linkerd steward alerts policies shows what becomes of them")
    else:
        _print(bodies, output)
    return ExitCode.FAILED if strict and found.lost else ExitCode.OK


@app.command("export")
@leaf
async def export(
    session: Session,
    whence: Whence,
    policy: Annotated[
        str,
        typer.Argument(
            metavar="POLICY", help="Name of the AlertPolicy; else all of the namespace.", autocompletion=policy_names
        ),
    ] = "",
    output: Documents = Format.YAML,
) -> ExitCode:
    """Write the objectives of AlertPolicies as documents of OpenSLO, of the cluster or with -f of files.

    Example: linkerd steward alerts openslo export web -n shop
    """
    namespace = namespace_of(session, whence.namespace)
    policies = await _policies(session, whence, namespace)
    chosen = [each for each in policies if policy in ("", each.metadata.name)]
    if not chosen:
        what = f"AlertPolicy '{namespace}/{policy}'" if policy else f"AlertPolicy in namespace {namespace!r}"
        raise Refusal(f"there is no {what}", "linkerd steward alerts policies lists them", ExitCode.NOT_FOUND)
    documents: dict[str, JsonObject] = {}
    for each in chosen:
        written = openslo_of(each)
        _tell(written.lost)
        documents |= {f"{text(one, 'kind')}/{text(one, 'metadata', 'name')}": one for one in written.documents}
    _print(list(documents.values()), output)
    return ExitCode.OK


async def _policies(session: Session, whence: Whence, namespace: str) -> list[AlertPolicy]:
    if whence.file:
        return read_as(AlertPolicy, read_documents(whence.file, namespace))
    async with cluster(session) as kube:
        return await all_policies(kube, namespace)


def _tell(lost: Iterable[Lost]) -> None:
    for each in lost:
        note(f"not carried over: {each.where}: {each.what}: {each.why}")


def _print(documents: Sequence[JsonObject], output: Format) -> None:
    if output is Format.JSON:
        items: list[Json] = [*documents]
        write(document({"items": items}, Format.JSON))
        return
    write("---\n".join(document(each, Format.YAML) for each in documents))
