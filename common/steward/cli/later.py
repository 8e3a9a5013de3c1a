"""Commands that are imported when somebody asks for them: what one group needs, the others do not wait for."""

from collections.abc import Callable, Iterator, MutableMapping
from typing import Generic, TypeVar

C = TypeVar("C")


class Later(MutableMapping[str, C], Generic[C]):
    """What `load` returns, loaded when it is first looked at."""

    def __init__(self, load: Callable[[], MutableMapping[str, C]]) -> None:
        self._load = load
        self._loaded: MutableMapping[str, C] | None = None

    def _all(self) -> MutableMapping[str, C]:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def __getitem__(self, name: str) -> C:
        return self._all()[name]

    def __setitem__(self, name: str, command: C) -> None:
        self._all()[name] = command

    def __delitem__(self, name: str) -> None:
        del self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())
