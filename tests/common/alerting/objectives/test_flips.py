"""Who counts may change between two renderings, and that is told."""

from steward.alerting.objectives.flips import flips
from steward.alerting.objectives.rendering import rendered_policy
from tests.common.alerting.objectives.shop import mesh, monitoring, policy, profile


def test_a_profile_that_appears_or_goes_away_is_told() -> None:
    routes = rendered_policy(policy(), mesh(), monitoring()).targets
    profiled = rendered_policy(policy(), mesh(profiles=(profile(),)), monitoring()).targets

    (appeared,) = flips(routes, profiled)
    assert (appeared.target, appeared.before, appeared.after) == ("Service/web", "Routes", "ServiceProfile")
    assert appeared.message == (
        "requests of Service/web are counted by ServiceProfile and no longer by Routes: a client that goes on without "
        "a pause of five seconds counts as before until it is restarted, and both are asked meanwhile"
    )
    (gone,) = flips(profiled, routes)
    assert (gone.before, gone.after) == ("ServiceProfile", "Routes")


def test_what_stays_or_is_new_or_was_refused_is_no_change() -> None:
    routes = rendered_policy(policy(), mesh(), monitoring()).targets
    absent = tuple(status.model_copy(update={"metrics": ""}) for status in routes)
    assert flips(routes, routes) == ()
    assert flips((), routes) == ()
    assert flips(routes, ()) == ()
    assert flips(absent, routes) == ()
    assert flips(routes, absent) == ()
