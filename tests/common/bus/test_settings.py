"""Settings of the bus: what is refused, and in which words."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from steward.bus.settings import BusSettings
from steward.errors import ConfigurationError


@pytest.mark.parametrize("name", ["", "Prod", "prod.eu", "prod eu", "*", ">", "-prod", "prod-", "a" * 64, "prod_1"])
def test_a_cluster_name_that_is_not_one_clean_token_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(ValidationError, match=r"lowercase letters, digits and inner hyphens, for example 'prod-eu-1'"):
        BusSettings(cluster=name)


@pytest.mark.parametrize("name", ["prod", "prod-eu-1", "a", "a" * 63, "1"])
def test_a_clean_cluster_name_is_taken(name: str) -> None:
    assert BusSettings(cluster=name).cluster == name


def test_credentials_in_a_url_are_refused_because_urls_are_logged() -> None:
    with pytest.raises(ValidationError, match="must hold no credentials") as refused:
        BusSettings(servers=("nats://me:hunter2@nats:4222",))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("server", ["http://nats:4222", "nats://", "://"])
def test_what_is_no_nats_server_is_refused(server: str) -> None:
    with pytest.raises(ValidationError, match=r"nats://host:port"):
        BusSettings(servers=(server,))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"user": "me"}, "user and password belong together"),
        ({"password": "x"}, "user and password belong together"),
        ({"user": "me", "password": "x", "token": "y"}, "one way to authenticate is enough"),
        ({"token": "y", "nkey_seed_file": "/seed"}, "token and nkey_seed_file are given"),
        ({"tls_cert": "/cert.pem"}, "tls_cert and tls_key belong together"),
        ({"servers": []}, "at least 1 item"),
        ({"connect_timeout": timedelta(0)}, "greater than"),
        ({"inbox_prefix": "_INBOX.>"}, "inbox prefix"),
        ({"replicas": 0}, "greater than or equal to 1"),
        ({"sever": "x"}, "Extra inputs"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        BusSettings.model_validate(given)


def test_secrets_appear_in_no_representation() -> None:
    settings = BusSettings(user="me", password=SecretStr("hunter2"))
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()


def test_settings_come_from_the_environment_by_the_names_of_their_fields() -> None:
    settings = BusSettings.from_environment(
        {
            "STEWARD_BUS__SERVERS": "nats://a:4222, tls://b:4222",
            "STEWARD_BUS__CLUSTER": "prod",
            "STEWARD_BUS__CREDENTIALS_FILE": "/etc/nats/me.creds",
            "STEWARD_BUS__CONNECT_TIMEOUT": "5",
            "PATH": "/bin",
        }
    )
    assert settings.servers == ("nats://a:4222", "tls://b:4222")
    assert settings.wants_tls
    assert (settings.cluster, settings.credentials_file) == ("prod", Path("/etc/nats/me.creds"))
    assert settings.connect_timeout == timedelta(seconds=5)


def test_servers_may_be_a_json_list_too() -> None:
    assert BusSettings.from_environment({"STEWARD_BUS__SERVERS": '["nats://a:1", "b:2"]'}).servers == (
        "nats://a:1",
        "b:2",
    )


def test_an_empty_environment_means_a_server_on_this_machine() -> None:
    settings = BusSettings.from_environment({})
    assert settings.servers == ("nats://127.0.0.1:4222",)
    assert not settings.wants_tls


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"STEWARD_BUS__CLUSTER": "Prod.EU"}, r"STEWARD_BUS__CLUSTER: .*lowercase"),
        ({"STEWARD_BUS__CLUTSER": "prod"}, r"STEWARD_BUS__CLUTSER: Extra inputs"),
        ({"STEWARD_BUS__SERVERS": "[broken"}, r"STEWARD_BUS__SERVERS: "),
        ({"STEWARD_BUS__REPLICAS": "many"}, r"STEWARD_BUS__REPLICAS: .*integer"),
    ],
)
def test_a_wrong_variable_is_named(variables: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        BusSettings.from_environment(variables)
