"""When a difference of the mesh is worth saying: once it stands still, or after it has moved for long enough."""

from datetime import UTC, datetime, timedelta

from services.version_watcher.core.mesh import MOST_UNPUBLISHED, MeshSeen, Patience, Settling, mesh_status
from steward.events.versions import Drift, DriftKind
from steward.resources.release_catalog import MeshStatus

START = datetime(2026, 8, 22, tzinfo=UTC)
PATIENCE = Patience(quiet=timedelta(minutes=1), at_most=timedelta(minutes=15))


def seen(fingerprint: str = "", *, reason: str = "Inventoried") -> MeshSeen:
    drifts = (Drift(kind=DriftKind.STALE_PROXY, count=1, message="One is stale."),) if fingerprint else ()
    return MeshSeen("edge-26.6.3", "Helm", "edge-26.6.3", 3, (), drifts, fingerprint, 0, reason, "")


class Story:
    """A mesh that is looked at again and again."""

    def __init__(self) -> None:
        self.now = START
        self.status: MeshStatus | None = None
        self.settling: Settling | None = None

    def look(self, fingerprint: str, *, after: timedelta = timedelta(0)) -> MeshStatus:
        self.now += after
        said = self.status.fingerprint if self.status is not None else ""
        self.settling = Settling.after(self.settling, fingerprint, said, self.now)
        self.status = mesh_status(self.status, seen(fingerprint), self.settling, PATIENCE, self.now)
        return self.status


def test_a_difference_is_said_once_it_has_stood_still() -> None:
    story = Story()
    assert story.look("a").announcements == 0
    assert story.look("a", after=timedelta(seconds=59)).announcements == 0
    assert story.look("a", after=timedelta(seconds=1)).announcements == 1
    assert story.look("a", after=timedelta(hours=1)).announcements == 1


def test_a_difference_that_passes_is_never_said() -> None:
    story = Story()
    story.look("a")
    story.look("", after=timedelta(seconds=30))
    assert story.look("", after=timedelta(hours=1)).announcements == 0


def test_a_mesh_that_never_stands_still_is_said_after_a_while() -> None:
    story = Story()
    for number in range(15):
        assert story.look(f"a{number}", after=timedelta(seconds=59)).announcements == 0
    assert story.look("last", after=timedelta(minutes=2)).announcements == 1


def test_the_same_difference_that_comes_back_is_news() -> None:
    story = Story()
    story.look("a")
    story.look("a", after=timedelta(minutes=1))
    story.look("", after=timedelta(minutes=1))
    assert story.look("", after=timedelta(minutes=1)).fingerprint == ""
    story.look("a", after=timedelta(minutes=1))
    assert story.look("a", after=timedelta(minutes=1)).announcements == 2


def test_a_mesh_that_cannot_be_compared_says_nothing() -> None:
    settling = Settling("", START, None)
    status = mesh_status(None, seen("a", reason="ConfigUnreadable"), settling, PATIENCE, START + timedelta(days=1))
    assert status.announcements == 0


def test_what_nobody_could_be_told_is_kept_within_bounds() -> None:
    story = Story()
    for number in range(MOST_UNPUBLISHED + 5):
        story.look(f"a{number}", after=timedelta(minutes=1))
        story.look(f"a{number}", after=timedelta(minutes=1))
    assert story.status is not None
    assert story.status.announcements == MOST_UNPUBLISHED + 5
    assert [each.number for each in story.status.unpublished] == list(range(6, MOST_UNPUBLISHED + 6))


def test_a_look_that_shows_nothing_new_changes_not_even_the_time() -> None:
    story = Story()
    first = story.look("")
    assert story.look("", after=timedelta(hours=1)) == first
