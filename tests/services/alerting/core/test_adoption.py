"""What comes into force when some of many changes are refused: everything else, whatever the target says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerting.core.adoption import Adopted, Contents, adoption

NAMES = st.sampled_from([f"{letter}.yaml" for letter in "abcdefghij"])
CONTENTS = st.dictionaries(NAMES, st.sampled_from(["good 1", "good 2", "bad 1", "bad 2"]), max_size=10)
GOOD = st.dictionaries(NAMES, st.sampled_from(["good 1", "good 2"]), max_size=10)


class Target:
    """Refuses what has anything bad in it; `names` it, or only says that something is wrong."""

    def __init__(self, *, names: bool) -> None:
        self._names = names
        self.holds: Contents = {}
        self.asked = 0

    def show(self, contents: Contents) -> str | None:
        self.asked += 1
        self.holds = dict(contents)
        bad = next((name for name, content in sorted(contents.items()) if content.startswith("bad")), None)
        if bad is None:
            return None
        return f"{bad}: parse error" if self._names else "parse error"


def adopted(target: Target, base: Contents, wanted: Contents) -> Adopted:
    steps = adoption(base, wanted)
    verdict: str | None = None
    begun = False
    while True:
        try:
            trial = steps.send(verdict) if begun else next(steps)
        except StopIteration as ended:
            found: Adopted = ended.value
            return found
        begun = True
        verdict = target.show(trial.contents)


@pytest.mark.parametrize("names", [True, False], ids=["named", "unnamed"])
@given(base=GOOD, wanted=CONTENTS)
def test_all_that_is_good_comes_into_force_and_all_that_is_not_stays_as_it_was(
    names: bool, base: Contents, wanted: Contents
) -> None:
    found = adopted(Target(names=names), base, wanted)
    bad = {name for name, content in wanted.items() if content.startswith("bad")}
    expected = {name: content for name, content in wanted.items() if name not in bad}
    expected |= {name: base[name] for name in bad if name in base}
    assert dict(found.contents) == expected
    assert set(found.refused) == bad


@given(base=GOOD, wanted=CONTENTS)
def test_a_target_that_holds_something_refused_is_to_be_shown_the_good_again(base: Contents, wanted: Contents) -> None:
    target = Target(names=True)
    target.holds = dict(base)
    found = adopted(target, base, wanted)
    assert found.restore or dict(target.holds) == dict(found.contents)


def test_nothing_is_asked_where_nothing_changed() -> None:
    target = Target(names=True)
    found = adopted(target, {"a.yaml": "good 1"}, {"a.yaml": "good 1"})
    assert (target.asked, found.refused, found.restore) == (0, {}, False)


def test_one_bad_file_of_two_hundred_costs_a_handful_of_questions_also_where_it_is_not_named() -> None:
    wanted = {f"{number:03}.yaml": "good 1" for number in range(200)} | {"117.yaml": "bad 1"}
    target = Target(names=False)
    assert set(adopted(target, {}, wanted).refused) == {"117.yaml"}
    assert target.asked <= 17
    target = Target(names=True)
    assert set(adopted(target, {}, wanted).refused) == {"117.yaml"}
    assert target.asked <= 3


def test_what_is_no_longer_wanted_goes_though_something_else_is_refused() -> None:
    found = adopted(Target(names=True), {"a.yaml": "good 1"}, {"b.yaml": "bad 1"})
    assert dict(found.contents) == {}
    assert found.refused == {"b.yaml": "b.yaml: parse error"}
