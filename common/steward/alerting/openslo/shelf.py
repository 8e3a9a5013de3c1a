"""All documents of OpenSLO by kind and name, and how they refer to one another."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from steward.alerting.openslo.claims import Claims
from steward.alerting.openslo.documents import API_VERSION, Kind, Lost
from steward.jsonvalue import JsonObject, text


@dataclass(frozen=True, slots=True)
class Shelf:
    """The documents, and those that are none."""

    claims: Mapping[tuple[Kind, str], Claims]
    refused: tuple[Lost, ...]

    @classmethod
    def of(cls, documents: Iterable[JsonObject]) -> "Shelf":
        """Sort the documents. The first one of a kind and name counts."""
        found: dict[tuple[Kind, str], Claims] = {}
        refused: list[Lost] = []
        for content in documents:
            kind, name = text(content, "kind"), text(content, "metadata", "name")
            where = f"{kind or 'document'}/{name}"
            if text(content, "apiVersion") != API_VERSION or kind not in set(Kind):
                refused.append(Lost(where, "all of it", f"no document of {API_VERSION}, of a kind that it has"))
            elif (Kind(kind), name) in found:
                refused.append(Lost(where, "all of it", "there is another document of this kind and name"))
            else:
                found[Kind(kind), name] = _frame_read(Claims(content, where))
        return cls(found, tuple(refused))

    def all(self, kind: Kind) -> Iterator[Claims]:
        """The documents of a kind."""
        return (claims for (found, _), claims in self.claims.items() if found is kind)

    def referred(self, part: Claims, reference: str, kind: Kind) -> Claims | None:
        """The document that a part names in the member `reference`, or that stands in its place.

        None where it is not there, which is named.
        """
        if not part.has(reference):
            return _frame_read(part)
        name = part.text(reference)
        found = self.claims.get((kind, name))
        if found is None:
            part.lose((reference,), f"there is no {kind.value} {name!r} among the documents")
        return found


def _frame_read(part: Claims) -> Claims:
    for member in (("apiVersion",), ("kind",), ("metadata", "name")):
        part.text(*member)
    return part
