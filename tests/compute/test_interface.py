"""The interface of an address, on the one that every machine has."""

import sys

import pytest

from jetscale.compute.interface import interface_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")


def test_the_loopback_interface_has_the_loopback_address():
    assert interface_of("127.0.0.1") == "lo"


def test_an_address_of_another_machine_has_no_interface_here():
    assert interface_of("192.0.2.1") is None
