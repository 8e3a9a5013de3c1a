import pytest

from steward.testing.dataplane.addresses import Addresses


def test_ranges_of_two_data_planes_differ_and_a_released_one_may_be_taken_again() -> None:
    one, other = Addresses(), Addresses()
    assert one.pod().split(".")[2] != other.pod().split(".")[2]
    one.close()
    other.close()


def test_addresses_of_one_pod_belong_together() -> None:
    addresses = Addresses()
    pod = addresses.pod()
    addresses.close()
    assert addresses.inside(pod).startswith("127.21.")
    assert addresses.caller(addresses.proxy(pod)) == (pod, True)
    assert addresses.caller(pod) == (pod, False)


def test_no_address_is_given_twice_before_it_is_released() -> None:
    addresses = Addresses()
    given = {addresses.pod() for _ in range(252)}
    assert len(given) == 252
    with pytest.raises(RuntimeError, match="use fewer pods"):
        addresses.pod()
    freed = given.pop()
    addresses.release(freed)
    assert addresses.pod() == freed
    addresses.close()
