"""Which cluster is meant, found as kubectl finds it."""

from pathlib import Path

import pytest

from steward.cli.environment import Environment
from steward.cli.kubeconfig import Chosen, choose
from steward.errors import ConfigurationError


def _config(path: Path, current: str = "", *contexts: str) -> Path:
    listed = ", ".join(f"{{name: {name}, context: {{}}}}" for name in contexts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"apiVersion: v1\nkind: Config\ncurrent-context: '{current}'\ncontexts: [{listed}]\n")
    return path


def test_the_flag_wins_over_everything(tmp_path: Path) -> None:
    flag, other = _config(tmp_path / "flag", "a", "a"), _config(tmp_path / "other", "b", "b")
    assert choose(str(flag), "", Environment(kubeconfig=str(other))) == Chosen(flag, "a")


def test_the_first_current_context_of_a_list_counts(tmp_path: Path) -> None:
    first, second = _config(tmp_path / "1", "", "a"), _config(tmp_path / "2", "b", "b")
    third = _config(tmp_path / "3", "c", "c")
    listed = f"{first}:{tmp_path / 'missing'}::{second}:{third}"
    assert choose("", "", Environment(kubeconfig=listed)) == Chosen(Path(f"{first}:{second}:{third}"), "b")


def test_a_named_context_may_be_in_any_file(tmp_path: Path) -> None:
    first, second = _config(tmp_path / "1", "a", "a"), _config(tmp_path / "2", "b", "b")
    assert choose("", "b", Environment(kubeconfig=f"{first}:{second}")).context == "b"


def test_an_empty_file_of_a_list_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    second = _config(tmp_path / "2", "b", "b")
    assert choose("", "", Environment(kubeconfig=f"{tmp_path / 'empty'}:{second}")) == Chosen(second, "b")


def test_without_a_list_the_usual_file_is_read(tmp_path: Path) -> None:
    usual = _config(tmp_path / ".kube" / "config", "a", "a")
    assert choose("", "", Environment(home=tmp_path)) == Chosen(usual, "a")


def test_in_a_pod_its_own_account_is_used(tmp_path: Path) -> None:
    assert choose("", "", Environment(home=tmp_path, in_cluster=True)) == Chosen(None, None)


def test_a_kubeconfig_of_ones_own_wins_over_the_pod(tmp_path: Path) -> None:
    usual = _config(tmp_path / ".kube" / "config", "a", "a")
    assert choose("", "", Environment(home=tmp_path, in_cluster=True)).files == usual


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty: write a cluster"),
        ("[1, 2]", "is no kubeconfig: expected a mapping"),
        ("a: [b", "cannot be read"),
        ("\x00", "cannot be read"),
        ("contexts: []", "has no current context: name one with --context"),
        ("current-context: gone\ncontexts: [{name: here}]", "has no context 'gone': it has here"),
        ("current-context: gone\ncontexts: nonsense", "has no context 'gone': it has none"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_remedy(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as raised:
        choose(str(path), "", Environment())
    assert str(path) in str(raised.value)
    assert said in str(raised.value)


def test_a_flag_that_names_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--kubeconfig .* is no file"):
        choose(str(tmp_path / "missing"), "", Environment())


def test_a_list_without_any_file_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="KUBECONFIG names '/missing', and no such file exists"):
        choose("", "", Environment(kubeconfig="/missing"))


def test_nothing_at_all_says_what_could_be_given(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no --kubeconfig, no KUBECONFIG, no ~/.kube/config"):
        choose("", "", Environment(home=tmp_path))
