"""Files that somebody else reads: whole ones, and only our own."""

from pathlib import Path

import pytest

from services.alerting.edges.folder import Folder
from steward.errors import ConfigurationError


def test_a_folder_holds_exactly_what_it_was_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "rules", ".yaml")
    assert folder.write({"a.yaml": "1", "b.yaml": "2"})
    assert folder.write({"b.yaml": "3"})
    assert folder.read() == {"b.yaml": "3"}


def test_nothing_is_written_where_nothing_changed(tmp_path: Path) -> None:
    folder = Folder(tmp_path, ".yaml")
    folder.write({"a.yaml": "1"})
    before = (tmp_path / "a.yaml").stat().st_ino
    assert not folder.write({"a.yaml": "1"})
    assert (tmp_path / "a.yaml").stat().st_ino == before


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.rules").write_text("groups: []")
    Folder(tmp_path, ".yaml").write({})
    assert (tmp_path / "mine.rules").exists()


def test_a_half_written_file_matches_no_pattern_of_prometheus(tmp_path: Path) -> None:
    """Prometheus loads `*.yaml`; what a killed process leaves behind must not be among them."""
    Folder(tmp_path, ".yaml").write({"a.yaml": "1"})
    assert [each.name for each in tmp_path.glob("*.yaml")] == ["a.yaml"]


def test_secrets_are_not_for_everybody(tmp_path: Path) -> None:
    Folder(tmp_path, ".secret", secret=True).write({"a.secret": "s3cret"})
    assert (tmp_path / "a.secret").stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("name", ["../a.yaml", "a/b.yaml", "a.txt"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no file of"):
        Folder(tmp_path, ".yaml").write({name: "1"})


def test_a_folder_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"file/rules cannot be written: .*give the service a volume"):
        Folder(tmp_path / "file" / "rules", ".yaml").write({"a.yaml": "1"})
